"""What authors are compared on, a task a file."""

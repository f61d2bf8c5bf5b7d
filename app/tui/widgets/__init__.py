"""The parts of the screens, one class a file."""

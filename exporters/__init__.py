"""A trained encoder to a file that another machine reads."""

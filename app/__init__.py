"""The edges: talks to people; holds no SQL and no tensors."""

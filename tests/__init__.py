"""PenPal's tests. A package, so that `tests.tiny` is ours even where another distribution ships a folder `tests`."""

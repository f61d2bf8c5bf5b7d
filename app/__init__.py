"""The edges: command line, terminal interface, wiring, and what runs at night."""

import os

# Before anything imports NumPy: its matrices are small here, and a second thread of OpenBLAS waits for its turn with
# every product while llama.cpp drafts (400 texts take 4 s with one thread, up to 54 s with two on a busy machine).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

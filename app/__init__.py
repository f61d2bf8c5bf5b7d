"""The edges: command line, terminal interface, wiring, and what runs at night."""

import os

# Before anything imports NumPy: its matrices are small here, and a second thread of OpenBLAS waits for its turn with
# every product while llama.cpp drafts (400 texts take 4 s with one thread, up to 54 s with two on a busy machine).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Before anything imports a hub library, which reads them once: none asks a network, or tells anybody who uses it,
# whatever the environment says. `exporters.hub` goes online for the two commands that are there for it.
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")

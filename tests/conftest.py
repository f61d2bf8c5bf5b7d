"""What every test gets: a home of its own and no network. Knows nothing of what is tested."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

# Before anything imports huggingface_hub or NumPy, which read them once. Subprocesses inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in `app`: two threads took ten times as long on busy cores

# A shell's background job ignores Ctrl-C and hands that on; the tests of Ctrl-C, and their subprocesses, need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def penpal_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh PENPAL_HOME, so that no test can touch a person's real data; settings from outside do not reach in."""
    for name in [name for name in os.environ if name.startswith("PENPAL_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("PENPAL_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses every connection but local ones: PenPal makes no network call that the person did not ask for."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: tuple[str, int] | str) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)

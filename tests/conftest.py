"""What every test gets: a home of its own, no network, and its share of the cores. Knows nothing of what is tested."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

# Before anything imports huggingface_hub or NumPy, which read them once. Subprocesses inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in `app`: two threads took ten times as long on busy cores

# A shell's background job ignores Ctrl-C and hands that on; the tests of Ctrl-C, and their subprocesses, need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# With all that the tests import, one look of the garbage collector through everything takes 0.2 s, and left alone it
# looks more than once in each test that draws a screen: a quarter of their time.
USUAL_THRESHOLD = gc.get_threshold()
gc.set_threshold(20_000, 20, 10)

ALL_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""gw0, gw1, ... where several processes share the tests (`-n auto`); else empty."""
MOST_WORKERS = 4
"""Each holds 0.5 GB once it knows all tests, and more where models are loaded."""


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: as many as there are cores; one where workers cannot be kept to a core each, as on macOS."""
    return min(MOST_WORKERS, len(ALL_CORES)) or 1


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow tests come last, and one worker does them: they take all cores, and two at once crawl."""
    items.sort(key=is_slow)
    for item in filter(is_slow, items):
        item.add_marker(pytest.mark.xdist_group("slow"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A fast test of one worker among several keeps to one core: llama.cpp's threads spin, and wait for each other."""
    if is_slow(item):
        gc.set_threshold(*USUAL_THRESHOLD)  # a real model that is not needed any more holds 500 MB
    if ALL_CORES and WORKER:
        use_cores(ALL_CORES if is_slow(item) else {sorted(ALL_CORES)[int(WORKER[2:]) % len(ALL_CORES)]})
        if (torch := sys.modules.get("torch")) is not None:  # it counted the cores when it was imported
            torch.set_num_threads(len(os.sched_getaffinity(0)))


def is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


def use_cores(cores: set[int]) -> None:
    """Moves all threads there are; later ones, and other programs, go where the one that starts them is."""
    for thread in os.listdir("/proc/self/task") if os.sched_getaffinity(0) != cores else ():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


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

"""What learning costs: seconds, resident memory, floating-point operations."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

SAMPLED_EVERY_SECONDS = 0.02
Shape = tuple[int, ...]


def _attention(query: Shape, key: Shape, value: Shape, *about: Any, **more: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(gradient: Shape, query: Shape, key: Shape, value: Shape, *about: Any, **more: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


# Not in torch's own table, which knows the GPU's kernels only.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


class CostMeter:
    """Measures what happens while it is open: `with CostMeter() as meter: ...`.

    Memory is what the process holds at its peak above what it held before, sampled; what was freed before and is used
    again without the system's help is not seen, so a run in a fresh process says most.
    """

    seconds: float
    peak_bytes: int

    def __enter__(self) -> CostMeter:
        gc.collect()
        self._process = psutil.Process()
        self._before = self._highest = self._process.memory_info().rss
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()
        self._started = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.monotonic() - self._started
        self._done.set()
        self._watch.join()
        self.peak_bytes = self._highest - self._before

    def _sample(self) -> None:
        ended = False
        while not ended:
            ended = self._done.wait(SAMPLED_EVERY_SECONDS)
            self._highest = max(self._highest, self._process.memory_info().rss)


def flops(work: Callable[[], object]) -> float:
    """Operations of the matrix products and attention in one call, forward and backward, counted by torch.

    Element-wise operations are not counted, here as elsewhere.
    """
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        work()
    return float(counter.get_total_flops())

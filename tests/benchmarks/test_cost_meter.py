"""What learning is said to cost: checked against work whose cost is known."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F

from benchmarks.rivals.cost_meter import CostMeter, flops

MIB = 2**20


def test_seconds_and_the_peak_of_what_was_held_meanwhile() -> None:
    with CostMeter() as meter:
        held = torch.ones(64 * MIB, dtype=torch.uint8)
        time.sleep(0.1)
        del held
        time.sleep(0.05)
    assert 0.15 <= meter.seconds < 5
    assert 60 * MIB < meter.peak_bytes < 100 * MIB


def test_flops_of_a_product_forward_and_backward() -> None:
    """[3, 5] @ [5, 7] is 2 * 3 * 5 * 7 operations, and each of the two gradients as many."""
    a, b = torch.randn(3, 5, requires_grad=True), torch.randn(5, 7, requires_grad=True)
    assert flops(lambda: a @ b) == 210
    assert flops(lambda: (a @ b).sum().backward()) == 3 * 210


def test_flops_of_attention_on_a_cpu() -> None:
    """Scores and values: 2 * 2 heads * 2 * 6 * 6 * 8 operations; backward are two products for each of forward's,
    and the scores once more."""
    q, k, v = (torch.randn(1, 2, 6, 8, requires_grad=True) for _ in range(3))
    forward = 2 * (2 * 2 * 6 * 6 * 8)
    assert flops(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)) == forward
    both = flops(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward())
    assert both == forward + 2.5 * forward

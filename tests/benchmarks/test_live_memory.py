"""The count of what lives at once, against sums that can be done by hand."""

from __future__ import annotations

import pytest
import torch

from benchmarks.live_memory import peak_bytes

MIB = 2**20
CPU = torch.device("cpu")


def floats(mib: int) -> torch.Tensor:
    return torch.empty(mib * MIB // 4)


def test_what_is_gone_counts_no_more() -> None:
    def run() -> None:
        for _ in range(3):
            held = floats(2)
            del held
        held = floats(1), floats(1)
        assert held

    assert peak_bytes(run, (), CPU) == 2 * MIB


def test_views_and_what_was_there_before_are_not_counted_and_weights_are() -> None:
    before = floats(4)
    part = torch.nn.Linear(MIB // 4, 1, bias=False)

    def run() -> None:
        views = before.view(2, -1), before[1:]
        before.add_(1)
        held = floats(1).reshape(4, -1)[1:]
        assert len(views) + len(held) == 5

    assert peak_bytes(run, (part,), CPU) == 2 * MIB


@pytest.mark.parametrize("kept", [True, False])
def test_a_tape_counts_while_it_lives(kept: bool) -> None:
    start = torch.zeros(MIB // 4, requires_grad=kept)

    def run() -> None:
        value = start
        for _ in range(4):
            value = value.exp()
        value.sum().backward() if kept else None

    # four results and the gradient on its way; without a tape one and the next
    assert peak_bytes(run, (), CPU) == pytest.approx((5 if kept else 2) * MIB, abs=1.1 * MIB * kept)

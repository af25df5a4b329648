"""Annealed times: the ends, the way between, and what is drawn."""

from __future__ import annotations

import pytest
import torch
from maquette_backend.guidance.schedule import TimeSchedule

SCHEDULE = TimeSchedule(start=(0.5, 0.95), end=(0.3, 0.65))


def test_bounds_go_from_start_to_end_in_a_line() -> None:
    assert SCHEDULE.bounds(0) == SCHEDULE.start
    assert SCHEDULE.bounds(1) == pytest.approx(SCHEDULE.end)
    assert SCHEDULE.bounds(0.25) == pytest.approx((0.45, 0.875))


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_times_are_uniform_between_the_bounds(progress: float) -> None:
    times = SCHEDULE.sample(progress, 20_000, torch.Generator().manual_seed(1))
    low, high = SCHEDULE.bounds(progress)
    assert low - 1e-6 <= float(times.min()) < low + 0.001
    assert high - 0.001 < float(times.max()) <= high + 1e-6
    quartiles = torch.quantile(times, torch.tensor([0.25, 0.5, 0.75]))
    expected = low + (high - low) * torch.tensor([0.25, 0.5, 0.75])
    torch.testing.assert_close(quartiles, expected, atol=0.01, rtol=0)


def test_the_generator_decides() -> None:
    one, same, other = (SCHEDULE.sample(0.5, 4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)

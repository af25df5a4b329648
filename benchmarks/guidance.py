"""Guidance: what CG-LoRA and attention-mask alignment add to a step of distillation, in time and in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from maquette_backend.ablate.command import build_bench
from maquette_backend.ablate.trial import Bench, begin, take_step
from maquette_backend.guidance.build import build_distiller
from maquette_backend.guidance.camera_guided import CgLoraSettings
from maquette_backend.priors.cores import share_cores
from numpy.typing import NDArray

from benchmarks.rows import Row

_ROUNDS = 5
_STEPS = 8  # with two turns of alignment among them
_LORA_TARGET, _ALIGNMENT_TARGET, _MEMORY_TARGET = 10.0, 15.0, 15.0


def rows() -> list[Row]:
    """The rows of this part."""
    share_cores()  # as a worker does
    bench = build_bench(_STEPS, seed=0)
    settings = CgLoraSettings()
    ways = (None, CgLoraSettings(alignment_weight=0.0), settings)  # the second never learns: with any weight its first step would
    # turn about, so that what else the machine does meets all alike; the least is what it met least. Memory is
    # compared in the first round: later ones keep what was taken before
    rounds = [[_measured(bench, way) for way in ways] for _ in range(_ROUNDS)]
    plain, adapted, aligned = (_least(costs) for costs in zip(*rounds, strict=True))
    how = (
        f"{_STEPS} geometry steps, of each the least of {_ROUNDS} rounds, of 4 views of 64² each, starter prior, CPU time of the whole process (what else runs does"
        f" not count): plain {plain.cpu_ms.mean():.0f}, with CG-LoRA {adapted.cpu_ms.mean():.0f}, with alignment of one view at every"
        f" {settings.every}th step {aligned.cpu_ms.mean():.0f} ms a step; by the clock {plain.wall_ms.mean():.0f}, {adapted.wall_ms.mean():.0f},"
        f" {aligned.wall_ms.mean():.0f} ms under a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    memory = f"peak resident memory of the process, {plain.peak_mib:.0f} MiB plain, {aligned.peak_mib:.0f} MiB with both"
    return [
        _row("guidance.cg_lora_overhead", adapted.cpu_ms.mean(), plain.cpu_ms.mean(), _LORA_TARGET, how),
        _row("guidance.ama_overhead", aligned.cpu_ms.mean(), adapted.cpu_ms.mean(), _ALIGNMENT_TARGET, how),
        _row("guidance.ama_memory_overhead", aligned.peak_mib, plain.peak_mib, _MEMORY_TARGET, memory),
    ]


@dataclass(frozen=True)
class _Cost:
    """Times of every step."""

    cpu_ms: NDArray[np.float64]
    wall_ms: NDArray[np.float64]
    peak_mib: float


def _least(costs: Sequence[_Cost]) -> _Cost:
    """Step by step: step 3, say, is the same work in every round."""
    cpu, wall = (np.array([getattr(cost, name) for cost in costs]).min(0) for name in ("cpu_ms", "wall_ms"))
    return _Cost(cpu, wall, costs[0].peak_mib)


def _measured(bench: Bench, settings: CgLoraSettings | None) -> _Cost:
    """A run of its own: peaks must not mix."""
    distiller = build_distiller("sds", bench.prior, bench.subject.prompt, settings)
    trial = begin(bench)
    try:
        take_step(bench, begin(bench), build_distiller("sds", bench.prior), 0)  # warm
        _forget_peak()
        times = [(process_time(), perf_counter())]
        for number in range(_STEPS):
            take_step(bench, trial, distiller, number)
            times.append((process_time(), perf_counter()))
        cpu, wall = 1000 * np.diff(np.array(times), axis=0).T
        return _Cost(cpu, wall, _peak_mib())
    finally:
        distiller.close()


def _forget_peak() -> None:
    """Linux' way: the peak starts again from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _row(name: str, value: float, base: float, target: float, how: str) -> Row:
    percent = float(100 * (value / base - 1))
    return Row(name, percent, "%", f"<= {target:g}", percent <= target, how)

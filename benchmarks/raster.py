"""Rasterising: time of a rendering with its gradient, and the gradient's error against finite differences."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import torch
from maquette_backend.render import visibility_numba, visibility_torch
from maquette_backend.render.cameras import to_clip
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.edges import build_topology
from maquette_backend.render.shading import box_filter

from benchmarks.rows import Row
from tests.backend.render.surfaces import (
    HARSH,
    SMOOTH,
    bumpy_torus,
    gradient_errors,
    gradient_references,
    ring_of_cameras,
)

_SIDE_PX = 128
_VIEWS = 4
_SUPERSAMPLE = 2
"""The setting of both the accuracy and the time."""
_SEEDS = 4
"""Draws of colours, weights and bumps at each viewpoint: with one, the result hangs on the draw."""
_RUNS = 30
_SCENE = f"bumpy torus of 10k triangles, {_VIEWS} views of {_SIDE_PX}², 3 colour channels, CPU"


def rows() -> list[Row]:
    """The rows of this part."""
    return [_forward_backward(_SUPERSAMPLE), _forward_backward(1), *_numba_against_torch(), *_gradient_errors()]


def _times_ms(step: Callable[[], object], runs: int) -> tuple[float, float]:
    """Fastest and median of ``runs``, after two to warm up."""
    times = []
    for _ in range(runs + 2):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    return min(times[2:]), statistics.median(times[2:])


def _forward_backward(supersample: int) -> Row:
    positions, triangles = bumpy_torus(100, 50)
    positions = positions.requires_grad_()
    colors = torch.rand(len(positions), 3, requires_grad=True)
    rasterizer, topology, cameras = choose_rasterizer("cpu"), build_topology(triangles), ring_of_cameras(_VIEWS)

    def step() -> None:
        clip = to_clip(positions, cameras.clip_from_world)
        rast = rasterizer.rasterize(clip, triangles, (_SIDE_PX * supersample, _SIDE_PX * supersample))
        image = rasterizer.interpolate(colors, rast, triangles)
        image = rasterizer.antialias(image, rast, clip, triangles, topology)
        box_filter(image, supersample).square().sum().backward()

    fastest, median = _times_ms(step, _RUNS)
    before = time.process_time()
    step()
    cpu = 1000 * (time.process_time() - before)
    how = (
        f"rasterise, interpolate, antialias, {supersample}x supersampled, and backward; {_SCENE}; fastest of {_RUNS} (median {median:.1f} ms; all "
        f"threads together {cpu:.1f} ms of processor time), load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    if supersample == 1:
        return Row("raster.forward_backward_1x_ms", fastest, "ms", "for information", True, how)
    return Row("raster.forward_backward_ms", fastest, "ms", "<= 40", fastest <= 40, how)


def _numba_against_torch() -> list[Row]:
    positions, triangles = bumpy_torus(100, 50)
    clip = to_clip(positions, ring_of_cameras(_VIEWS).clip_from_world)
    size = (_SIDE_PX, _SIDE_PX)
    fast, fast_median = _times_ms(lambda: visibility_numba.visible(clip, triangles, size), _RUNS)
    slow, slow_median = _times_ms(lambda: visibility_torch.visible(clip, triangles, size), 7)
    same = visibility_numba.visible(clip, triangles, size)[0] == visibility_torch.visible(clip, triangles, size)[0]
    agreement = float(same.float().mean())
    how = f"visibility alone, {_SCENE}; fastest (medians {fast_median:.1f} and {slow_median:.1f} ms)"
    return [
        Row("raster.torch_over_numba", slow / fast, "x", "for information", True, how),
        Row("raster.same_ids", agreement, "of pixels", ">= 0.999", agreement >= 0.999, f"numba and torch, {_SCENE}"),
    ]


def _gradient_errors() -> list[Row]:
    rasterizer = choose_rasterizer("cpu")
    rigid: dict[int, dict[str, float]] = {1: {}, _SUPERSAMPLE: {}}
    local: dict[int, dict[str, float]] = {1: {}, _SUPERSAMPLE: {}}
    for subject in (SMOOTH, HARSH):
        cases = gradient_references(rasterizer, subject, seeds=_SEEDS)
        for factor in rigid:
            for white in (True, False):
                errors = gradient_errors(rasterizer, cases, white=white, supersample=factor)
                name = f"{subject.name} {'outline' if white else 'colours'}"
                rigid[factor][name], local[factor][name] = errors.rigid, errors.local
    return [
        _error_row("rigid", rigid[_SUPERSAMPLE], 0.05, f"{_SUPERSAMPLE}x supersampled"),
        _error_row("local", local[_SUPERSAMPLE], 0.12, f"{_SUPERSAMPLE}x supersampled"),
        _error_row("rigid_1x", rigid[1], None, "no supersampling"),
        _error_row("local_1x", local[1], None, "no supersampling"),
    ]


def _error_row(name: str, errors: dict[str, float], target: float | None, setting: str) -> Row:
    worst = max(errors.values())
    each = ", ".join(f"{what} {error:.3f}" for what, error in errors.items())
    how = (
        f"relative to central differences at 1024² without antialiasing, 10k triangles, {_SIDE_PX}², {setting}; pooled "
        f"over 3 viewpoints and {_SEEDS} draws; worst of {each} (smooth: colours of 3 rad a unit, weights of 8² cells; harsh: "
        "8 rad, 16² cells)"
    )
    goal = "for information" if target is None else f"<= {target}"
    return Row(f"raster.grad_error_{name}", worst, "", goal, target is None or worst <= target, how)

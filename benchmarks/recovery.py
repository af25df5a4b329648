"""Known answers: five shapes are found again from their own normal images, from a coarse start, without any prior."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import igl
import numpy as np
import torch
from maquette_backend.priors.cores import share_cores
from maquette_backend.priors.prior import Views
from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.keep_topology import OffsetBody, OffsetSettings
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.remeshed import delivered
from maquette_backend.refine.surface import Body
from maquette_backend.refine.viewpoints import FOV_Y, cameras_for
from maquette_backend.render.cameras import Cameras
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.render.shading import Rendering, render_views
from maquette_backend.shape.start_shape import StartWeights
from numpy.typing import NDArray

from benchmarks.recovery_shapes import CASES, Case
from benchmarks.rows import Row

_VIEWS = 8
_VIEWS_PER_STEP = 4
_SIDE_PX = 128
_SUPERSAMPLE = 3
_BOUND = 0.05
_STEPS = 80
_RATE = 4e-3
_LEAST_RATE = 0.1
_MASK_WEIGHT = 1.0
_SAMPLES = 20_000
_REMESH = RemeshSettings(
    bound=_BOUND, learning_rate=6e-3, smoothness=1.0, sign_weight=0.005, normal_weight=0.005, recall=30.0
)
_OFFSETS = OffsetSettings(
    bound=_BOUND, learning_rate=_RATE, weights=StartWeights(anchor=1.0, laplacian=1.0, strain=0.01, fold=0.01)
)
"""Both held more weakly than in a job, by about as much as a difference of pictures is a weaker loss than a prior's."""
_MEMORY_RATIO = 2.0


def rows() -> list[Row]:
    """The rows of this part."""
    share_cores()  # as a worker does
    at_64 = [recover(case, 64) for case in CASES]
    at_128 = [recover(case, 128) for case in CASES]
    kept = [recover_kept(case) for case in CASES]
    return [
        _chamfer_row("remesh.recovery_chamfer_64", at_64, 0.5),
        _chamfer_row("remesh.recovery_chamfer_128", at_128, 0.3),
        _normals_row(at_64 + at_128),
        _kept_row(kept),
        _extraction_row(at_64),
        _memory_row(),
    ]


@dataclass(frozen=True)
class Recovered:
    """How near a shape came to its answer."""

    name: str
    before: float
    """Chamfer distance of the start, in units of the longest side."""
    chamfer: float
    """… and of the result."""
    reach: float
    """What a mesh of this kind can come to at best."""
    normals: float
    """Mean cosine between normals at nearest points, both ways."""
    extraction_share: float
    """Share of a step's time that finds the surface and its edges."""


def recover(case: Case, grid_class: int) -> Recovered:
    """Through a DMTet body, as a job does: coarse to fine where the class has a coarser one, and cleaned."""
    start = Mesh(*case.start())
    body = RemeshBody(start.positions, start.triangles, replace(_REMESH, grid_class=grid_class))
    share = _optimise(body, case, body.at)
    return _judged(case, start, delivered(body, start, 0), 0.0, share)


def recover_kept(case: Case) -> Recovered:
    """Through offsets of the start's own vertices. Their reach: the start's triangles with every vertex put where it
    comes nearest to the answer without being told any more than its nearest point."""
    start = Mesh(*case.start())
    body = OffsetBody(start.positions, start.triangles, _OFFSETS)
    _optimise(body, case, lambda progress: None)
    with torch.no_grad():
        result = Mesh(body.surface().positions.numpy(), start.triangles)
    answer = Mesh(*case.answer())
    onto = _nearest(start.positions.astype(np.float64), answer)[1].astype(np.float32)
    reach, _ = compare(Mesh(onto, start.triangles), answer)
    return _judged(case, start, result, reach, 0.0)


def _optimise(body: Body, case: Case, at: Callable[[float], None]) -> float:
    """Adam on the difference of the normal images; returns the share of time that the surface takes."""
    rasterizer, cameras = choose_rasterizer("cpu"), _cameras()
    wanted = _pictures(rasterizer, Mesh(*case.answer()), cameras)
    optimiser = torch.optim.Adam(body.parameters(), lr=body.learning_rate, betas=(0.9, 0.99))
    surfaces, began = 0.0, 0.0
    for number in range(_STEPS):
        at(number / _STEPS)
        body.surface()  # a grid is made when it is first needed, which is no step
        if number == 1:
            surfaces, began = 0.0, time.perf_counter()
        optimiser.param_groups[0]["lr"] = body.learning_rate * max(_LEAST_RATE, 1 - number / _STEPS)
        before = time.perf_counter()
        surface = body.surface()
        surfaces += time.perf_counter() - before
        rows = (torch.arange(_VIEWS_PER_STEP) * (_VIEWS // _VIEWS_PER_STEP) + number) % _VIEWS
        chosen = Cameras(cameras.camera_from_world[rows], cameras.clip_from_camera[rows])
        seen = render_views(
            rasterizer, surface.positions, surface.triangles, None, chosen, _SIDE_PX, topology=surface.topology
        )
        loss = (seen.normal - wanted.normal[rows]).abs().mean() + _MASK_WEIGHT * (seen.mask - wanted.mask[rows]).abs().mean()
        optimiser.zero_grad(set_to_none=True)
        (loss + body.penalty(surface)).backward()
        optimiser.step()
    return surfaces / (time.perf_counter() - began)


def _cameras() -> Cameras:
    """Eight round the shape, low, in between and high in turn: so that a flat top, an underside and the inside of a cup
    are all seen by some; within the elevations that a job keeps to."""
    turn = torch.arange(_VIEWS) * (2 * torch.pi / _VIEWS) + 0.2
    height = torch.deg2rad(torch.tensor([-10.0, 60.0, 30.0, -10.0, 45.0, -10.0, 60.0, 20.0]))
    return cameras_for(Views(turn, height, torch.full((_VIEWS,), 1.9), torch.full((_VIEWS,), FOV_Y)))


@torch.no_grad()
def _pictures(rasterizer: Rasterizer, answer: Mesh, cameras: Cameras) -> Rendering:
    """What the answer looks like: each triangle by itself, since normals that are smoothed over an edge of 90 degrees,
    or along a whole side, are those of another shape."""
    corners = torch.from_numpy(answer.positions[answer.triangles].reshape(-1, 3))
    triangles = torch.arange(len(corners)).reshape(-1, 3)
    return render_views(rasterizer, corners, triangles, None, cameras, _SIDE_PX, supersample=_SUPERSAMPLE)


def _judged(case: Case, start: Mesh, result: Mesh, reach: float, share: float) -> Recovered:
    answer = Mesh(*case.answer())
    chamfer, normals = compare(result, answer)
    return Recovered(case.name, compare(start, answer)[0], chamfer, reach, normals, share)


def compare(one: Mesh, other: Mesh) -> tuple[float, float]:
    """Chamfer distance (the mean of both mean distances, in units of the longest side of ``other``) and normal
    consistency (the mean of both mean cosines) of what can be seen of two meshes."""
    there, back = _one_way(one, other), _one_way(other, one)
    size = float(np.ptp(other.positions, axis=0).max())
    return (there[0] + back[0]) / 2 / size, (there[1] + back[1]) / 2


def _one_way(one: Mesh, other: Mesh) -> tuple[float, float]:
    points, normals = _samples(one)
    distance, _, owner = _nearest(points, other)
    cosine = np.abs(np.einsum("ij,ij->i", normals, _unit_normals(other)[owner]))
    return float(distance.mean()), float(cosine.mean())


def _samples(mesh: Mesh) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points spread evenly over what can be seen, and the normals there; seeded. Inside a solid nothing can."""
    corners = mesh.positions.astype(np.float64)[mesh.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    rng = np.random.default_rng(3)
    owner = rng.choice(len(corners), _SAMPLES, p=area / area.sum())
    points = np.einsum("pk,pkj->pj", rng.dirichlet([1, 1, 1], _SAMPLES), corners[owner])
    normals = _unit_normals(mesh)[owner]
    winding = igl.fast_winding_number(
        mesh.positions.astype(np.float64), mesh.triangles.astype(np.int64), points + 1e-4 * normals
    )
    seen = np.asarray(winding) < 0.5
    return points[seen], normals[seen]


def _unit_normals(mesh: Mesh) -> NDArray[np.float64]:
    corners = mesh.positions.astype(np.float64)[mesh.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)


def _nearest(points: NDArray[np.float64], mesh: Mesh) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    squared, owner, place = igl.point_mesh_squared_distance(
        points, mesh.positions.astype(np.float64), mesh.triangles.astype(np.int64)
    )
    return np.sqrt(squared), np.asarray(place, np.float64), np.asarray(owner, np.int64).reshape(-1)


def _chamfer_row(name: str, found: list[Recovered], target: float) -> Row:
    worst = 100 * max(one.chamfer for one in found)
    each = ", ".join(f"{one.name} {100 * one.before:.2f} → {100 * one.chamfer:.2f}" for one in found)
    how = f"worst of five shapes from {_VIEWS} normal images of {_SIDE_PX}², {_STEPS} steps of {_VIEWS_PER_STEP} views: {each}"
    return Row(name, worst, "% of size", f"<= {target:g}", worst <= target, how)


def _normals_row(found: list[Recovered]) -> Row:
    worst = min(one.normals for one in found)
    how = "worst mean cosine of the same ten: " + ", ".join(f"{one.name} {one.normals:.3f}" for one in found)
    return Row("remesh.normal_consistency", worst, "", ">= 0.95", worst >= 0.95, how)


def _kept_row(found: list[Recovered]) -> Row:
    worst = max(one.chamfer / one.reach for one in found)
    each = ", ".join(
        f"{one.name} {100 * one.before:.2f} → {100 * one.chamfer:.2f} (reach {100 * one.reach:.2f})" for one in found
    )
    how = (
        "worst ratio of the Chamfer distance to the reach of the vertices, which is what the start's triangles have with"
        f" each vertex on its nearest point of the answer; same images: {each}"
    )
    return Row("keep_topology.recovery_chamfer", worst, "x reach", "<= 1.5", worst <= 1.5, how)


def _extraction_row(found: list[Recovered]) -> Row:
    value = 100 * max(one.extraction_share for one in found)
    how = "the surface and its edges, of a whole step without a prior, worst of five at 64-class"
    return Row("remesh.extraction_share", value, "%", "<= 25", value <= 25, how)


def _memory_row() -> Row:
    """Each in a process of its own; what importing alone takes is taken off."""
    nothing, dense, band = (_peak_mib(mode) for mode in ("nothing", "dense", "band"))
    ratio = (band - nothing) / (dense - nothing)
    how = f"a body and one step on a ball: {band - nothing:.0f} MiB at 256-class, {dense - nothing:.0f} MiB on the whole 128 grid"
    return Row("remesh.band_memory_ratio", ratio, "x", f"<= {_MEMORY_RATIO:g}", ratio <= _MEMORY_RATIO, how)


def _peak_mib(mode: str) -> float:
    root = Path(__file__).resolve().parents[1]
    asked = [sys.executable, "-m", "benchmarks.recovery", mode]
    ran = subprocess.run(asked, cwd=root, capture_output=True, text=True, timeout=300, check=True)
    return float(ran.stdout.split()[-1])


def main(mode: str) -> None:
    """Print the peak memory, MiB, of importing everything ("nothing"), or of one step as well ("dense", "band")."""
    if mode != "nothing":
        start = Mesh(*CASES[0].start())
        settings = replace(_REMESH, grid_class=256 if mode == "band" else 128)
        body = RemeshBody(start.positions, start.triangles, settings)
        body.at(1.0)  # the finest grid, whatever the body begins with
        surface = body.surface()
        (surface.positions.square().mean() + body.penalty(surface)).backward()
    print(_own_peak_mib())


def _own_peak_mib() -> float:
    """Of this program alone: what getrusage says on Linux counts the process that started it too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(float(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main(sys.argv[1])

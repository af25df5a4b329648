"""Materials and light: recovery of known materials, shading beside Cycles, baking, seams."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from maquette_backend.appearance.atlas import unwrap
from maquette_backend.appearance.material import Material, MaterialField
from maquette_backend.appearance.material_bake import bake_material
from maquette_backend.appearance.seams import SeamReport, SharedEdges, seam_report, shared_edges
from maquette_backend.render import environments
from maquette_backend.render.environment import Environment
from maquette_backend.render.environments import random_environment, studio
from maquette_backend.render.lamps import Lamp
from maquette_backend.render.split_sum import shade
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import known_material
from benchmarks.path_traced import BLENDER_PYTHON, COLUMNS, Sphere, path_traced, relative_errors, shaded
from benchmarks.rows import Row
from tests.backend.render.surfaces import bumpy_torus

_STEPS = 600
_GREY_STEPS = 150
_ROUGHNESSES = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
_DIELECTRIC, _METAL = (0.8, 0.4, 0.2), (0.9, 0.6, 0.3)
_SIDE_PX, _SAMPLES = 40, 96
_BAKE_SIZE = 2048
_CELLS = 224
"""224² · 2 = 100,352 triangles."""
_MIPS = 7
"""Down to 16² texels: there an edge of this mesh is a sixth of a texel long."""
_FIELDS = 32
"""Random pictures whose steps are taken together: of one alone the coarsest mip says anything from 0.9 to 1.7, of these 1.02 ± 0.04."""
_ISLANDS = 16
"""Along each side of the texture."""


def rows() -> list[Row]:
    """The rows of this part."""
    return [*_recovery(), _grey(), *_beside_cycles(), _shading_time(), *_bake(), _seams()]


def _recovery() -> list[Row]:
    random_environment(torch.Generator())  # prefiltered once, outside the time
    start = time.perf_counter()
    found = {}
    for known in known_material.known_objects():
        found[known.name] = known_material.compared(known, known_material.recovered(known, random_environment, _STEPS))
    seconds = time.perf_counter() - start
    how = (
        f"{_STEPS} steps of {known_material.VIEWS} views of {known_material.SIDE_PX}² under random computed light, hash-grid field baked to "
        f"{known_material.SIZE}², seen texels ({', '.join(f'{name} {r.seen:.0%}' for name, r in found.items())}); three objects in {seconds:.0f} s"
    )

    def worst(name: str, unit: str, each: dict[str, float], target: str, holds: Callable[[float], bool], high: bool) -> Row:
        value = min(each.values()) if high else max(each.values())
        listed = ", ".join(f"{what} {x:.3g}" for what, x in each.items())
        return Row(f"appearance.{name}", value, unit, target, holds(value), f"worst of {listed}; {how}")

    return [
        worst("albedo_psnr", "dB", {n: r.albedo_psnr_db for n, r in found.items()}, ">= 30", lambda x: x >= 30, True),
        worst("roughness_mae", "", {n: r.roughness_mae for n, r in found.items()}, "<= 0.08", lambda x: x <= 0.08, False),
        worst("metallic_mae", "", {n: r.metallic_mae for n, r in found.items()}, "<= 0.08", lambda x: x <= 0.08, False),
        worst("normal_angle", "°", {n: r.normal_deg for n, r in found.items()}, "for information", lambda _: True, False),
    ]


def _grey() -> Row:
    light = studio((1.0, 0.0, 0.0, 0.0, 0.08))
    azimuth, elevation = math.radians(-40), math.radians(40)
    level = math.cos(elevation)
    towards = torch.tensor([level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)])
    field = known_material.recovered(known_material.grey_ball(), lambda _: light, _GREY_STEPS)
    difference = 100 * known_material.side_difference(field, towards)
    both = light.diffuse(torch.stack([towards, -towards])).mean(1)
    how = (
        f"albedo learned in {_GREY_STEPS} steps of a grey ball lit by one soft box, halves towards and away from it; "
        f"the box's side receives {float(both[0] / both[1]):.0f} times the light"
    )
    return Row("appearance.shading_in_albedo", difference, "%", "< 2", difference < 2, how)


def _beside_cycles() -> list[Row]:
    if not BLENDER_PYTHON.exists():
        raise FileNotFoundError(f"{BLENDER_PYTHON} is missing. Run: make setup")
    spheres = [Sphere(_DIELECTRIC, r, 0.0) for r in _ROUGHNESSES] + [Sphere(_METAL, r, 1.0) for r in _ROUGHNESSES]
    pictures = {"studio": _studio_picture(), "sky": environments.sky(), "overcast": environments.overcast()}
    errors = {name: _errors(spheres, picture, []) for name, picture in pictures.items()}
    rough = torch.tensor([sphere.roughness >= 0.3 for sphere in spheres])
    listed = "; ".join(
        f"{name}: dielectric {_figures(e[:COLUMNS])}, metal {_figures(e[COLUMNS:])}" for name, e in errors.items()
    )
    how = (
        f"mean |ours − Cycles| over mean Cycles of each ball, {_SIDE_PX} px, {_SAMPLES} samples (their noise is in it), Principled BSDF with its "
        f"default distribution, multiscatter GGX; roughness {', '.join(map(str, _ROUGHNESSES))}: {listed}"
    )
    every = torch.stack([e[rough] for e in errors.values()])
    lamp = torch.cat([_errors(spheres[2:7] + spheres[9:], None, [lamp]) for lamp in _lamps()])
    mean, worst, smooth = float(every.mean()), float(every.max()), float(torch.stack([e[~rough] for e in errors.values()]).mean())
    return [
        Row("appearance.cycles_rough", mean, "", "<= 0.05", mean <= 0.05, f"roughness >= 0.3; {how}"),
        Row("appearance.cycles_rough_worst", worst, "", "for information", True, "the worst of those balls"),
        Row("appearance.cycles_smooth", smooth, "", "for information", True, "roughness below 0.3"),
        Row("appearance.cycles_lamps", float(lamp.max()), "", "<= 0.05", bool(lamp.max() <= 0.05), "worst ball under a sun or a point lamp, roughness >= 0.3"),
    ]


def _errors(spheres: Sequence[Sphere], picture: Tensor | None, lamps: Sequence[Lamp]) -> Tensor:
    theirs = path_traced(spheres, picture, lamps, _SIDE_PX, _SAMPLES if picture is not None else 16)
    environment = None if picture is None else Environment.from_equirect(picture)
    ours, whole = shaded(spheres, environment, lamps, _SIDE_PX)
    return relative_errors(ours, theirs, whole)


def _figures(errors: Tensor) -> str:
    return " ".join(f"{float(error):.3f}" for error in errors)


def _studio_picture() -> Tensor:
    """The plain three-point studio as a picture: boxes with hard contrast, the hardest of the computed lights."""
    boxes = [environments.soft_box(*box[:3]) * box[3] for box in environments.BOXES]
    total = sum(box[3] for box in environments.BOXES) + environments.ROOM
    return (torch.stack(boxes).sum(0) + environments.ROOM * environments.room()) / total


def _lamps() -> list[Lamp]:
    towards = functional.normalize(torch.tensor([0.5, -0.7, 0.5]), dim=0)
    right = functional.normalize(torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0]), towards), dim=0)
    sun, point = torch.eye(4), torch.eye(4)
    sun[:3, 0], sun[:3, 1], sun[:3, 2] = right, torch.linalg.cross(towards, right), towards
    point[:3, 3] = torch.tensor([4.0, -5.0, 3.0])
    return [Lamp("sun", sun, (1.0, 0.9, 0.8), 3.0), Lamp("point", point, (1.0, 0.9, 0.8), 900.0)]


def _shading_time() -> Row:
    count = 4 * 64 * 64
    generator = torch.Generator().manual_seed(0)
    normals = functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    values = torch.rand(count, 5, generator=generator).requires_grad_()
    light = studio()

    def once() -> None:
        albedo, roughness, metallic = values.split([3, 1, 1], dim=1)
        shade(Material(albedo, roughness, metallic, normals), normals, normals.roll(1, 0), light).sum().backward()

    milliseconds = [1000 * _seconds(once) for _ in range(30)]
    before = time.process_time()
    once()
    cpu = 1000 * (time.process_time() - before)
    how = (
        f"every pixel of 4 views of 64² covered, forward and backward in the material, fastest of 30 (median "
        f"{statistics.median(milliseconds):.1f} ms; all threads together {cpu:.1f} ms of processor time), {_load()}"
    )
    return Row("appearance.shading_ms", min(milliseconds), "ms", "<= 15", min(milliseconds) <= 15, how)


def _bake() -> list[Row]:
    vertices, triangles, uvs = _sheet()
    field = MaterialField()
    with torch.no_grad():
        field.grid.table.normal_(0, 1)

    def once() -> None:
        bake_material(field, vertices, uvs, triangles, _BAKE_SIZE)

    once()
    before = time.process_time()
    walls = [_seconds(once) for _ in range(5)]
    cpu = (time.process_time() - before) / 5
    how = (
        f"base colour, roughness, metallic and normal at {_BAKE_SIZE}² of {len(triangles)} triangles in {_ISLANDS**2} islands from a hash grid of 8 levels, "
        f"three quarters of the texels covered; fastest of 5 (median {statistics.median(walls):.2f} s, {cpu:.2f} s of processor time each), {_load()}"
    )
    return [Row("appearance.bake_2048_s", min(walls), "s", "<= 2", min(walls) <= 2, how)]


def _seams() -> Row:
    positions, triangles = bumpy_torus(100, 50)
    vertices, faces = positions.numpy(), triangles.numpy()
    uvs = unwrap(vertices, faces, 1024).corner_uvs
    edges = shared_edges(vertices, faces, uvs)
    reports = [_of_random_maps(seed, vertices, uvs, faces, edges) for seed in range(_FIELDS)]
    color, roughness, metallic = (
        [sum(r.across for r in mip) / sum(r.inside for r in mip) for mip in zip(*(r[at] for r in reports), strict=True)]
        for at in range(3)
    )
    room = ", ".join(f"{report.measured:.0%}" for report in reports[0][0])
    how = (
        f"colour steps over two texels across {int(edges.seam.sum())} seam edges over those beside them, bumpy torus of 10k triangles, "
        f"xatlas, 1024², worst of all mips; steps of {_FIELDS} random pictures together, for in one alone coarse mips have too few seams "
        f"with room beside them (of their length {room}): {_listed(color)} in mips 0 to {_MIPS - 1}; roughness {_listed(roughness)}, "
        f"metallic {_listed(metallic)}"
    )
    return Row("appearance.seam_step", max(color), "", "<= 1.1", max(color) <= 1.1, how)


def _of_random_maps(
    seed: int, vertices: NDArray[np.float32], uvs: NDArray[np.float32], faces: NDArray[np.integer], edges: SharedEdges
) -> tuple[list[SeamReport], ...]:
    """Of base colour, roughness and metallic, each at every mip."""
    torch.manual_seed(seed)
    field = MaterialField()
    with torch.no_grad():
        field.grid.table.normal_(0, 0.3)
    images = bake_material(field, vertices, uvs, faces, 1024)
    maps = (images.base_color, images.roughness, images.metallic)
    return tuple([seam_report(image, edges, level) for level in range(_MIPS)] for image in maps)


def _listed(ratios: Sequence[float]) -> str:
    return " ".join(f"{ratio:.3f}" for ratio in ratios)


def _sheet() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """A waved sheet of 100k triangles, cut into square islands."""
    i, j = np.meshgrid(np.arange(_CELLS + 1), np.arange(_CELLS + 1), indexing="ij")
    height = 0.1 * np.sin(i / 9) * np.cos(j / 11)
    vertices = np.stack([i / _CELLS - 0.5, j / _CELLS - 0.5, height], -1).reshape(-1, 3).astype(np.float32)
    i, j = i[:-1, :-1], j[:-1, :-1]
    side, gap = _CELLS // _ISLANDS, 0.15

    def place(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
        low_i, low_j = i // side * side, j // side * side
        u, v = low_i + (a - low_i) * (1 - gap) + side * gap / 2, low_j + (b - low_j) * (1 - gap) + side * gap / 2
        return np.stack([u, v], -1) / _CELLS

    corners = [place(i, j), place(i + 1, j), place(i + 1, j + 1), place(i, j + 1)]
    index = i * (_CELLS + 1) + j
    a, b, c, d = index, index + _CELLS + 1, index + _CELLS + 2, index + 1
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    halves = [np.stack([corners[k] for k in half], -2).reshape(-1, 3, 2) for half in ((0, 1, 2), (0, 2, 3))]
    return vertices, triangles, np.concatenate(halves).astype(np.float32)


def _seconds(once: Callable[[], None]) -> float:
    start = time.perf_counter()
    once()
    return time.perf_counter() - start


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"

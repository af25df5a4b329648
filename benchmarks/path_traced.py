"""Our shading of spheres and Cycles' path tracing of the same ones, side by side."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from maquette_backend.appearance.material import Material
from maquette_backend.render.environment import Environment
from maquette_backend.render.lamps import Lamp, shade_lamps
from maquette_backend.render.split_sum import shade
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
BLENDER_PYTHON = ROOT / ".venv-blender-4.5" / "bin" / "python"
TIMEOUT_SECS = 400
COLUMNS = 7
_RADIUS = 0.9
"""In a cell of 2 × 2."""
_PARTS = 6
"""Samples along a pixel's side in our pictures; Cycles takes its own at random places."""


@dataclass(frozen=True)
class Sphere:
    """One ball."""

    albedo: tuple[float, float, float]
    roughness: float
    metallic: float
    distribution: str = "MULTI_GGX"
    """Cycles' name of the microfacet model; this one, its default, keeps the light of later bounces."""


def path_traced(
    spheres: Sequence[Sphere], light: Tensor | None, lamps: Sequence[Lamp], side_px: int, samples: int
) -> Tensor:
    """Cycles' linear pictures [S,side,side,3] of ``spheres``, row 0 at the bottom. Raises RuntimeError when it fails."""
    rows = -(-len(spheres) // COLUMNS)
    plan = {
        "spheres": [asdict(sphere) for sphere in spheres],
        "lamps": [asdict(lamp) | {"world_from_lamp": lamp.world_from_lamp.tolist()} for lamp in lamps],
        "columns": COLUMNS,
        "rows": rows,
        "side_px": side_px,
        "samples": samples,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scene.json").write_text(json.dumps(plan))
        if light is not None:
            np.save(folder / "light.npy", light.numpy().astype(np.float32))
        script = ROOT / "benchmarks" / "blender_path_traced.py"
        ran = subprocess.run(
            [str(BLENDER_PYTHON), str(script), name],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECS,
            check=False,
            env=os.environ | {"BLENDER_USER_RESOURCES": name},
        )
        if ran.returncode:
            raise RuntimeError(f"{script.name} ended with status {ran.returncode}: {ran.stderr[-2000:]}")
        image = torch.from_numpy(np.load(folder / "image.npy", allow_pickle=False))
    cells = image[..., :3].reshape(rows, side_px, COLUMNS, side_px, 3).permute(0, 2, 1, 3, 4)
    return cells.reshape(-1, side_px, side_px, 3)[: len(spheres)]


def shaded(
    spheres: Sequence[Sphere], environment: Environment | None, lamps: Sequence[Lamp], side_px: int
) -> tuple[Tensor, Tensor]:
    """Our pictures [S,side,side,3] of the same, and which pixels [side,side] lie on a ball as a whole."""
    axis = ((torch.arange(side_px * _PARTS) + 0.5) / (side_px * _PARTS) * 2 - 1) / _RADIUS
    z, x = torch.meshgrid(axis, axis, indexing="ij")
    inside = x.square() + z.square() < 1
    normals = torch.stack([x, -(1 - x.square() - z.square()).clamp(min=0).sqrt(), z], -1)[inside]
    view = torch.tensor([0.0, -1.0, 0.0]).expand_as(normals)
    pictures = []
    for k, sphere in enumerate(spheres):
        material = _material(sphere, len(normals))
        center = torch.tensor([2.0 * (k % COLUMNS), 0.0, 2.0 * (k // COLUMNS)])
        radiance = shade_lamps(material, normals, view, center + _RADIUS * normals, lamps)
        if environment is not None:
            radiance = radiance + shade(material, normals, view, environment)
        picture = torch.zeros(*inside.shape, 3)
        picture[inside] = radiance
        pictures.append(picture.reshape(side_px, _PARTS, side_px, _PARTS, 3).mean((1, 3)))
    whole = inside.reshape(side_px, _PARTS, side_px, _PARTS).all(3).all(1)
    return torch.stack(pictures), whole


def relative_errors(ours: Tensor, theirs: Tensor, whole: Tensor) -> Tensor:
    """Mean absolute difference over mean radiance, for each sphere [S]."""
    difference = (ours - theirs).abs()[:, whole].mean((1, 2))
    return difference / theirs[:, whole].mean((1, 2))


def _material(sphere: Sphere, count: int) -> Material:
    return Material(
        torch.tensor(sphere.albedo).expand(count, 3),
        torch.full((count, 1), sphere.roughness),
        torch.full((count, 1), sphere.metallic),
        torch.tensor([0.0, 0.0, 1.0]).expand(count, 3),
    )

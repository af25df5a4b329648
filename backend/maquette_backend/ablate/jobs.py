"""Whole jobs on a mesh from a file, one for each way of guiding: what an artist would get, timed and scored alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import trimesh
from maquette_protocol.messages import PromptReading
from maquette_protocol.recipe import IDENTITY, ArrayRef, Guidance, MeshRef, Recipe, Stages, Subject, Times
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.ablate.score import Score, score_pictures, unseen_views
from maquette_backend.priors.prior import Prior
from maquette_backend.priors.starter.picture import join
from maquette_backend.refine.events import PreviewFrame, Progress, RefinedSubject, Wish
from maquette_backend.refine.job import refine_job
from maquette_backend.refine.placement import place
from maquette_backend.refine.viewpoints import cameras_for
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.shading import Albedo, TextureMap, render_views

SIZE = 64
TEXTURE = 256
_GREY = 0.6
_SUBJECT = "0" * 31 + "1"


@dataclass(frozen=True)
class JobBench:
    """What every job shares."""

    prior: Prior
    positions: NDArray[np.float32]
    """[V,3] object space, Z up, front towards −Y."""
    triangles: NDArray[np.int32]
    prompt: str
    steps: tuple[int, int]
    """Of the shape and of the looks."""
    seed: int = 0
    grid: int = 48


@dataclass(frozen=True)
class JobRow:
    """One line of the table."""

    name: str
    steps: int
    secs: float
    score: Score
    pictures: Tensor
    """[views,7,64,64] in −1..1."""


def job_ways() -> dict[str, Guidance]:
    """Name → what the recipe says: every method, HiFA's times and image loss, and X-Dreamer's two ideas."""
    falling = Times((0.02, 0.98), (0.02, 0.98), "square_root")
    return {
        "sds": Guidance(),
        "csd": Guidance(method="csd"),
        "vsd": Guidance(method="vsd"),
        "ism": Guidance(method="ism"),
        "sjc": Guidance(method="sjc"),
        "hifa": Guidance(geometry_times=falling, appearance_times=falling, image_loss=0.01),
        "sds+cg-lora+ama": Guidance(cg_lora=True, ama=0.1),
        "vsd+cg-lora+ama": Guidance(method="vsd", cg_lora=True, ama=0.1),
    }


def read_mesh(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Positions [V,3] and triangles [F,3] of any file that trimesh reads, Z up. Raises ValueError if it holds no mesh."""
    found = trimesh.load(path, force="mesh", process=False)
    if not isinstance(found, trimesh.Trimesh) or not len(found.faces):
        raise ValueError(f"{path} holds no mesh")
    return np.asarray(found.vertices, np.float32), np.asarray(found.faces, np.int32)


def job_row(bench: JobBench, name: str) -> JobRow:
    """Run and measure the way called ``name``; ``start`` is the mesh as it came, grey."""
    start = perf_counter()
    result = None if name == "start" else _refined(bench, job_ways()[name])
    secs = perf_counter() - start
    seen = _pictures(bench, result)
    encoded = bench.prior.encode_image(seen)
    return JobRow(name, 0 if result is None else sum(bench.steps), secs, score_pictures(bench.prior, encoded, bench.prompt), seen)


def _refined(bench: JobBench, guidance: Guidance) -> RefinedSubject:
    held: dict[str, NDArray[np.generic]] = {}

    def put(array: NDArray[np.generic]) -> ArrayRef:
        name = hashlib.sha256(array.tobytes()).hexdigest()
        held[name] = array
        return ArrayRef(name, f"{array.dtype.kind}{array.dtype.itemsize}", array.shape)

    mesh = MeshRef(put(bench.positions), put(bench.triangles))
    subject = Subject(_SUBJECT, "Subject", bench.prompt, mesh, texture_size=TEXTURE)
    stages = Stages(*bench.steps, grid_resolution=bench.grid, preview_every=0)
    recipe = Recipe((subject,), stages=stages, guidance=guidance, seed=bench.seed)
    events = _Quiet()
    refine_job(recipe, lambda ref: held[ref.sha256], events, _NoStore(), lambda name: bench.prior)
    return events.results[0]


@torch.no_grad()
def _pictures(bench: JobBench, result: RefinedSubject | None) -> Tensor:
    """[views,7,64,64] in −1..1, from views that refinement never drew exactly."""
    placed = place("Subject", bench.positions, IDENTITY)
    positions = placed.to_unit(bench.positions if result is None else result.positions)
    triangles = torch.from_numpy((bench.triangles if result is None else result.triangles).astype(np.int64))
    color: Albedo = torch.full((len(positions), 3), _GREY)
    if result is not None and result.base_color is not None and result.corner_uvs is not None:
        image = torch.from_numpy(result.base_color.astype(np.float32) / 255)
        color = TextureMap(image, torch.from_numpy(result.corner_uvs.copy()))
    seen = render_views(
        choose_rasterizer("cpu"), torch.from_numpy(positions), triangles, color, cameras_for(unseen_views()), SIZE, supersample=2
    )
    return join(seen.color, seen.normal, seen.mask)


@dataclass
class _Quiet:
    """A ``JobEvents`` that keeps the result and nothing else."""

    results: list[RefinedSubject] = field(default_factory=list)

    def prompts_read(self, readings: tuple[PromptReading, ...]) -> None:
        """Nobody listens."""

    def notice(self, sentence: str) -> None:
        """It is in the log."""

    def progress(self, progress: Progress) -> None:
        """Nobody waits."""

    def preview_wanted(self) -> bool:
        return False

    def preview(self, frame: PreviewFrame) -> None:
        """Nobody looks on."""

    def finished(self, subject: RefinedSubject) -> None:
        self.results.append(subject)

    def wish(self) -> Wish:
        return "go_on"


class _NoStore:
    """A ``CheckpointStore`` that keeps nothing: a measurement begins anew."""

    def save(self, arrays: Mapping[str, NDArray[np.generic]], about: Mapping[str, str]) -> None:
        """Nothing is kept."""

    def load(self) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]] | None:
        return None

"""A whole job of texture only: three pieces of the example room, each painted by itself, seen in one scene."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from maquette_backend.appearance.leans import Leans
from maquette_backend.appearance.seams import seam_report, shared_edges
from maquette_backend.priors.cores import share_cores
from maquette_backend.priors.load import load_prior
from maquette_backend.refine.events import PreviewFrame, Progress, RefinedSubject, Wish
from maquette_backend.refine.job import refine_job
from maquette_protocol.messages import PromptReading
from maquette_protocol.recipe import ArrayRef, MaterialKind, Matrix4, MeshRef, Recipe, Stages, Subject
from numpy.typing import NDArray

from benchmarks.rows import Row

_TARGET_SECS = 240
_SEAM_RATIO, _SEAM_MIPS = 1.1, 4
_LEAST_STEP = {"base_color": 0.5, "roughness": 0.5, "metallic": 0.5, "normal": 0.5 / 127.5}
"""Beside seams: below half a level what is measured is rounding."""
_TEXTURE_SIDE_PX = 1024
_PROMPTS = Path(__file__).resolve().parents[1] / "examples" / "room" / "prompts.json"
Bounds = tuple[float, float, float, float, float, float]
_PIECES: dict[str, tuple[tuple[Bounds, ...], tuple[float, float, float]]] = {
    "Chair": (((-0.24, -0.24, 0.38, 0.24, 0.24, 0.50), (-0.24, 0.14, 0.48, 0.24, 0.25, 0.98)), (-0.62, -0.60, 26.0)),
    "Table": (((-0.62, -0.40, 0.60, 0.62, 0.40, 0.75),), (0.40, 0.60, -5.0)),
    "Cabinet": (((-0.52, -0.22, 0.10, 0.52, 0.22, 0.80), (-0.56, -0.26, 0.78, 0.56, 0.24, 0.88)), (-2.20, 1.50, 0.0)),
}
"""Boxes as (low, high), position and turn about Z in degrees: those of ``examples/room/pieces.py``, which only Blender reads."""
_LEGS = {"Chair": (0.24, 0.24, 0.10, 0.40), "Table": (0.60, 0.38, 0.17, 0.62), "Cabinet": (0.50, 0.21, 0.12, 0.14)}
_FACES = np.array(
    [0, 2, 3, 0, 3, 1, 4, 5, 7, 4, 7, 6, 0, 1, 5, 0, 5, 4, 2, 6, 7, 2, 7, 3, 0, 4, 6, 0, 6, 2, 1, 3, 7, 1, 7, 5], np.int32
).reshape(-1, 3)


class _Shelf:
    """Arrays by their hash, read as a job reads them."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.generic]] = {}

    def put(self, array: NDArray[np.generic]) -> ArrayRef:
        name = hashlib.sha256(array.tobytes()).hexdigest()
        self.arrays[name] = array
        return ArrayRef(name, f"{array.dtype.kind}{array.dtype.itemsize}", array.shape)

    def __call__(self, ref: ArrayRef) -> NDArray[np.generic]:
        return self.arrays[ref.sha256]


class _Silent:
    """Events that only count results, and checkpoints that go nowhere."""

    def __init__(self) -> None:
        self.results: list[RefinedSubject] = []

    def prompts_read(self, readings: tuple[PromptReading, ...]) -> None: ...
    def notice(self, sentence: str) -> None: ...
    def progress(self, progress: Progress) -> None: ...
    def preview_wanted(self) -> bool:
        return False

    def preview(self, frame: PreviewFrame) -> None: ...
    def wish(self) -> Wish:
        return "go_on"

    def finished(self, subject: RefinedSubject) -> None:
        self.results.append(subject)

    def save(self, arrays: Mapping[str, NDArray[np.generic]], about: Mapping[str, str]) -> None: ...
    def load(self) -> None:
        return None


def rows() -> list[Row]:
    """The rows of this part: base colour alone, and full materials with their seams."""
    share_cores()  # as a worker does
    color, _ = _painted("color", "appearance.texture_job_secs")
    full, results = _painted("pbr", "appearance.material_job_secs")
    return [color, full, _seams(results)]


def _painted(material: MaterialKind, name: str) -> tuple[Row, list[RefinedSubject]]:
    """One job with the steps that an artist gets who changes none."""
    shelf, events, stages = _Shelf(), _Silent(), Stages()
    words = json.loads(_PROMPTS.read_text())
    subjects = (_subject(shelf, number, piece, words[piece]["prompt"]) for number, piece in enumerate(_PIECES))
    recipe = Recipe(tuple(replace(subject, material=material) for subject in subjects), stages=stages)
    start, before = perf_counter(), process_time()
    refine_job(recipe, shelf, events, events, lambda prior: load_prior(prior, "cpu"))
    secs, cpu = perf_counter() - start, process_time() - before
    seen = ", ".join(f"{result.seen:.0%}" for result in events.results)
    how = (
        f"texture only, {'all four maps' if material == 'pbr' else 'base colour'}, {len(events.results)} targets,"
        f" {stages.appearance_steps} steps of {stages.views_per_step} views each, {_TEXTURE_SIDE_PX}² textures, {seen} of the texels"
        f" seen, starter prior, CPU, {torch.get_num_threads()} threads, {cpu:.0f} s of processor time,"
        f" load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return Row(name, secs, "s", f"<= {_TARGET_SECS}", secs <= _TARGET_SECS, how), events.results


def _seams(results: Sequence[RefinedSubject]) -> Row:
    """Of maps that were learned, not only baked: all texels by themselves, across seams as well; and of what was filled in."""
    worst, told = 0.0, []
    for piece, result in zip(_PIECES, results, strict=True):
        assert result.corner_uvs is not None
        edges = shared_edges(result.positions, result.triangles, result.corner_uvs)
        leans = Leans(result.positions, result.triangles, result.corner_uvs)
        for name in ("base_color", "roughness", "metallic", "normal"):
            image = getattr(result, name)
            reports = [
                seam_report(image, edges, mip, leans=leans if name == "normal" else None) for mip in range(_SEAM_MIPS)
            ]
            if max(report.inside for report in reports) < _LEAST_STEP[name]:
                continue
            worst = max(worst, *(report.ratio for report in reports))
            told.append(f"{piece} {name} {' '.join(f'{one.ratio:.2f}' for one in reports)}")
    how = (
        f"full materials: step over two texels across seams over that beside them, mips 0 to {_SEAM_MIPS - 1} of {_TEXTURE_SIDE_PX}², normals "
        f"in space; maps whose steps are less than half a level of 255 are left out; {'; '.join(told)}"
    )
    return Row("appearance.job_seam_step", worst, "", f"<= {_SEAM_RATIO}", worst <= _SEAM_RATIO, how)


def _subject(shelf: _Shelf, number: int, name: str, prompt: str) -> Subject:
    boxes, (x, y, turn_deg) = _PIECES[name]
    half_x, half_y, thick, height = _LEGS[name]
    legs = tuple(
        (at_x, at_y, 0.0, at_x + thick, at_y + thick, height)
        for at_x in (-half_x, half_x - thick)
        for at_y in (-half_y, half_y - thick)
    )
    corner = np.array([[k & 1, k >> 1 & 1, k >> 2] for k in range(8)])
    every = [np.array(box) for box in (*boxes, *legs)]
    positions = np.concatenate([box[:3] + corner * (box[3:] - box[:3]) for box in every]).astype(np.float32)
    triangles = np.concatenate([_FACES + 8 * at for at in range(len(every))]).astype(np.int32)
    cosine, sine = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    placed: Matrix4 = (cosine, -sine, 0, x, sine, cosine, 0, y, 0, 0, 1, 0, 0, 0, 0, 1)
    mesh = MeshRef(shelf.put(positions), shelf.put(triangles))
    identity = f"{number + 1:032x}"
    return Subject(identity, name, prompt, mesh, placed, mode="texture_only", texture_size=_TEXTURE_SIDE_PX)

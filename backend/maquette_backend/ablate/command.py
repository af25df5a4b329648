"""The comparison's command line: a table, and a picture of every result."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from maquette_protocol.recipe import IDENTITY, CameraRig
from numpy.typing import NDArray

from maquette_backend.ablate.jobs import JobBench, JobRow, job_row, job_ways, read_mesh
from maquette_backend.ablate.score import Score, score, unseen_views
from maquette_backend.ablate.sheet import picture, sheet
from maquette_backend.ablate.trial import Bench, Subject, begin, pictures, take_step
from maquette_backend.guidance.build import build_distiller
from maquette_backend.guidance.camera_guided import CgLoraSettings
from maquette_backend.guidance.catalogue import method_names
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.priors.cores import share_cores
from maquette_backend.priors.load import load_prior
from maquette_backend.priors.prior import Prior
from maquette_backend.refine.placement import place
from maquette_backend.refine.viewpoints import view_sampler
from maquette_backend.render.choose import choose_rasterizer

PROMPT = "a red armchair"
_BLOCKS = (((-0.5, -0.45, -0.4), (0.5, 0.45, 0.0)), ((-0.5, 0.2, 0.0), (0.5, 0.45, 0.5)))
_CUTS = 8


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    steps: int
    secs: float
    drift: float
    score: Score


def main(arguments: Sequence[str]) -> int:
    """Print the table; 0."""
    parser = argparse.ArgumentParser(prog="python -m maquette_backend.ablate", description=__doc__)
    parser.add_argument("--steps", type=int, default=40, help="steps of each way; of a job for the shape and again for the looks (default: 40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help=f"ways to compare, by commas, of: {', '.join(ways())}")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each result")
    parser.add_argument("--mesh", type=Path, help="compare whole jobs on this mesh (.obj, .glb, …; Z up, front towards −Y)")
    parser.add_argument("--prompt", default=PROMPT, help=f"of the mesh (default: {PROMPT})")
    options = parser.parse_args(arguments)
    known = ["start", *(job_ways() if options.mesh else ways())]
    chosen = options.only.split(",") if options.only else known
    unknown = set(chosen) - set(known)
    if unknown or options.steps < 1:
        parser.error(f"unknown: {', '.join(sorted(unknown))}" if unknown else "--steps must be 1 or more")
    share_cores()
    if options.mesh:
        return compare_jobs(options, chosen)
    bench = build_bench(options.steps, options.seed)
    rows = [trial_row(bench, name, options.pictures) for name in chosen]
    print(table(rows))  # noqa: T201 - what the command is for
    return 0


def compare_jobs(options: argparse.Namespace, chosen: Sequence[str]) -> int:
    """Whole jobs; the steps are those of the shape, and again of the looks."""
    positions, triangles = read_mesh(options.mesh)
    steps = (options.steps, options.steps)
    bench = JobBench(load_prior("starter", "cpu"), positions, triangles, options.prompt, steps, options.seed)
    rows = [job_row(bench, name) for name in chosen]
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
        sheet({row.name: row.pictures for row in rows}).save(options.pictures / "sheet.png")
    print(job_table(rows))  # noqa: T201 - what the command is for
    return 0


def job_table(rows: Sequence[JobRow]) -> str:
    """As Markdown."""
    lines = ["| way | steps | s | v-loss | loss without prompt | attention–silhouette |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.steps} | {row.secs:.0f} | {row.score.prior_loss:.4f} |"
        f" {100 * row.score.text_gain:+.1f} % | {row.score.agreement:+.3f} |"
        for row in rows
    ]
    return "\n".join(lines)


def ways() -> dict[str, Callable[[Prior], Distiller]]:
    """Name → how to build it: every method, and SDS with X-Dreamer's two ideas, with either teacher."""
    plain: dict[str, Callable[[Prior], Distiller]] = {
        name: partial(build_distiller, name, prompt=PROMPT) for name in method_names()
    }
    adapted = {
        "sds+cg-lora+ama": CgLoraSettings(every=2),
        "sds+cg-lora+denoising": CgLoraSettings(every=2, alignment_weight=0.0, denoising_weight=1.0),
    }
    return plain | {
        name: partial(build_distiller, "sds", prompt=PROMPT, cg_lora=settings)
        for name, settings in adapted.items()
    }


def build_bench(steps: int, seed: int) -> Bench:
    """A rough armchair of two boxes under the starter prior."""
    positions, triangles = two_boxes()
    placed = place("Armchair", positions, IDENTITY)
    subject = Subject(placed.to_unit(positions), triangles, PROMPT)
    sampler = view_sampler(CameraRig(), placed)
    return Bench(load_prior("starter", "cpu"), choose_rasterizer("cpu"), sampler, subject, steps, seed)


def trial_row(bench: Bench, name: str, folder: Path | None) -> Row:
    """Run and measure the way called ``name``; ``start`` is the subject as it came."""
    distiller = ways()["sds" if name == "start" else name](bench.prior)
    steps, trial = 0 if name == "start" else bench.steps, begin(bench)
    try:
        start = perf_counter()
        for number in range(steps):
            take_step(bench, trial, distiller, number)
        secs = perf_counter() - start
        measured = score(bench, trial, distiller)
    finally:
        distiller.close()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            picture(pictures(bench, trial, unseen_views())).save(folder / f"{name}.png")
    return Row(name, steps, secs, trial.drift, measured)


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    lines = ["| way | steps | s | v-loss | loss without prompt | attention–silhouette | drift % |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.steps} | {row.secs:.1f} | {row.score.prior_loss:.4f} | {100 * row.score.text_gain:+.1f} % |"
        f" {row.score.agreement:+.3f} | {100 * row.drift:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def two_boxes() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Positions [V,3] float32 and triangles [F,3] int32: a seat and a back, each side cut into 8 × 8."""
    corners, faces, count = [], [], 0
    axis = np.linspace(0, 1, _CUTS + 1)
    u, v = (grid.ravel() for grid in np.meshgrid(axis, axis, indexing="ij"))
    at = np.arange((_CUTS + 1) ** 2).reshape(_CUTS + 1, _CUTS + 1)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]))
    for low, high in _BLOCKS:
        for normal in range(3):
            for side in (0, 1):
                square = np.zeros((len(u), 3))
                square[:, normal], square[:, (normal + 1) % 3], square[:, (normal + 2) % 3] = side, u, v
                corners.append(np.array(low) + square * (np.array(high) - np.array(low)))
                quads = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]) + count
                faces.append(quads if side else quads[:, ::-1])
                count += len(u)
    return np.concatenate(corners).astype(np.float32), np.concatenate(faces).astype(np.int32)



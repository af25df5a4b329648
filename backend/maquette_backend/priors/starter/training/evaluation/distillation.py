"""Refinement judged: do meshes take the prompt's colour, and do coarse shapes come nearer to the prompt's kind?

Refinement itself is handed in, so that priors need not know who uses them. What it made is rendered by the
training renderer from eight views that refinement never drew exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor

from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.color_words import color_word
from maquette_backend.priors.starter.training.dataset import to_tensor
from maquette_backend.priors.starter.training.evaluation.asking import COLORS, NOUNS
from maquette_backend.priors.starter.training.evaluation.judge import Judge, judged, log_odds
from maquette_backend.priors.starter.training.evaluation.judges import KINDS
from maquette_backend.priors.starter.training.evaluation.shapes import (
    BOXES,
    Shape,
    Subject,
    Texture,
    blob,
    boxes,
    for_rendering,
    smoothed,
    surface_samples,
    vertex_normals,
)
from maquette_backend.priors.starter.training.names import with_article
from maquette_backend.priors.starter.training.rendering import Picture, render
from maquette_backend.priors.starter.training.viewpoints import Viewpoint

UNSEEN = tuple(Viewpoint(22.5 + 45 * number, (12.0, 28.0)[number % 2], 2.0, 40.0) for number in range(8))
WRONG_KINDS = {
    "armchair": "lamp", "bed": "plant", "cabinet": "chair", "chair": "sanitary", "desk": "plant", "lamp": "bed",
    "plant": "table", "sanitary": "chair", "shelf": "sofa", "sofa": "table", "stool": "bed", "table": "sofa",
}  # fmt: skip
"""The wrong prompt for each kind: one that looks quite different."""
_SIZE = 64


@dataclass(frozen=True)
class RefineEffort:
    """How many subjects and steps; the steps of the full effort are the product's standard."""

    subjects: int = 20
    geometry_steps: int = 200
    appearance_steps: int = 250
    seed: int = 0


@dataclass(frozen=True)
class Refined:
    """What refinement made of a shape."""

    shape: Shape
    texture: Texture
    step_ms: float
    """Median time of a step of the stage that was asked for."""


class Refine(Protocol):
    """Refines a shape under a prompt: its surface (remeshed), or its colour only."""

    def __call__(self, shape: Shape, prompt: str, *, geometry_steps: int, appearance_steps: int, seed: int) -> Refined: ...


@dataclass(frozen=True)
class Colored:
    """A held-out mesh that was given a colour."""

    name: str
    prompt: str
    asked: str
    found: tuple[str, ...]
    """By view."""
    pictures: Tensor
    """[8,7,64,64] in −1..1."""
    step_ms: float


@dataclass(frozen=True)
class Reshaped:
    """A coarse shape under the right prompt, and what it is compared with: mean log-odds of its kind over the views."""

    name: str
    kind: str
    before: float
    after: float
    shrunk: float
    smooth: float
    wrong: float
    moved: float
    """Mean distance of the new surface from the old one, in longest sides; the controls move as far."""
    pictures: dict[str, Tensor]
    """Under the names of the figures above: [8,7,64,64] in −1..1."""

    @property
    def better(self) -> bool:
        """Up, and more than shrinking, smoothing or a wrong prompt brings."""
        return self.after > max(self.before, self.shrunk, self.smooth, self.wrong)


def colored(subjects: Sequence[Subject], refine: Refine, effort: RefineEffort) -> list[Colored]:
    """Held-out meshes, grey, each under a prompt of one of the twelve colours in turn."""
    results = []
    for number, subject in enumerate(subjects[: effort.subjects]):
        word = COLORS[(5 + 7 * number) % len(COLORS)]
        prompt = with_article(f"{word} {subject.noun}", subject.noun)
        made = refine(
            subject.shape, prompt, geometry_steps=0, appearance_steps=effort.appearance_steps, seed=effort.seed
        )
        seen = look(made.shape, made.texture)
        found = tuple(color_word(one.albedo) for one in seen)
        results.append(Colored(subject.name, prompt, word, found, _stacked(seen), made.step_ms))
    return results


def coarse_subjects(held_out: Sequence[Subject], count: int) -> list[Subject]:
    """Blobs of held-out models of the twelve kinds and all box assemblies, three to two, up to ``count``."""
    assembled = [Subject(f"{kind} of boxes", kind, NOUNS[kind][0], boxes(kind)) for kind in BOXES]
    share = min(len(assembled), 2 * count // 5)
    known = [subject for subject in held_out if subject.kind in KINDS][: count - share]
    blobs = [Subject(f"blob of a {one.noun}", one.kind, one.noun, blob(one.shape)) for one in known]
    return blobs + assembled[:share]


def reshaped(subjects: Sequence[Subject], refine: Refine, judge: Judge, effort: RefineEffort) -> list[Reshaped]:
    """Every subject under its own prompt and a wrong one, and its controls."""
    return [_reshaped(subject, refine, judge, effort) for subject in subjects]


def _reshaped(subject: Subject, refine: Refine, judge: Judge, effort: RefineEffort) -> Reshaped:
    steps = {"geometry_steps": effort.geometry_steps, "appearance_steps": 1, "seed": effort.seed}
    wrong_noun = NOUNS[WRONG_KINDS[subject.kind]][0]
    right = refine(subject.shape, with_article(subject.noun, subject.noun), **steps).shape
    wrong = refine(subject.shape, with_article(wrong_noun, wrong_noun), **steps).shape
    moved = surface_distance(right, subject.shape)
    shapes = {
        "before": subject.shape,
        "after": right,
        "shrunk": shrunk(subject.shape, moved),
        "smooth": smoothed_by(subject.shape, moved),
        "wrong": wrong,
    }
    pictures = {name: _stacked(look(shape, None)) for name, shape in shapes.items()}
    scores = {name: kind_score(judge, seen, subject.kind) for name, seen in pictures.items()}
    return Reshaped(subject.name, subject.kind, **scores, moved=moved, pictures=pictures)


def kind_score(judge: Judge, pictures: Tensor, kind: str) -> float:
    """Mean log-odds of a kind over pictures [N,7,64,64], by their geometry alone."""
    shape_only = pictures.clone()
    shape_only[:, picture.COLOR] = 0
    return float(log_odds(judged(judge, shape_only), KINDS.index(kind)).mean())


def look(shape: Shape, texture: Texture | None) -> list[Picture]:
    """From the eight unseen views."""
    mesh = for_rendering(shape, texture)
    return [render(mesh, viewpoint, _SIZE) for viewpoint in UNSEEN]


def surface_distance(one: Shape, other: Shape) -> float:
    """Mean distance of points on ``one`` from the surface of ``other``, in ``other``'s longest sides."""
    there = surface_samples(other)
    found, _ = KDTree(there).query(surface_samples(one)[::20])
    resolution, _ = KDTree(there).query(surface_samples(other, seed=1)[::20])
    longest = np.ptp(other.positions, axis=0).max()
    # the distance between two samplings of one surface is not a movement
    return max(0.0, float(np.mean(found) - np.mean(resolution)) / float(longest))


def shrunk(shape: Shape, moved: float) -> Shape:
    """Every vertex moved inwards by ``moved`` longest sides."""
    inwards = -vertex_normals(shape.positions, shape.triangles)
    distance = moved * float(np.ptp(shape.positions, axis=0).max())
    return Shape((shape.positions + distance * inwards).astype(np.float32), shape.triangles)


def smoothed_by(shape: Shape, moved: float, most: int = 60) -> Shape:
    """Smoothed until its vertices have moved by ``moved`` longest sides on average, or ``most`` times."""
    distance = moved * float(np.ptp(shape.positions, axis=0).max())
    positions = shape.positions
    for _ in range(most):
        if float(np.linalg.norm(positions - shape.positions, axis=1).mean()) >= distance:
            break
        positions = smoothed(positions, shape.triangles, 1)
    return Shape(positions, shape.triangles)


def right_shares(results: Sequence[Colored]) -> NDArray[np.float64]:
    """Share of the eight views that show the asked colour, by mesh."""
    return np.array([np.mean([word == one.asked for word in one.found]) for one in results], np.float64)


def _stacked(seen: Sequence[Picture]) -> Tensor:
    return to_tensor(np.stack([one.channels() for one in seen])).contiguous()

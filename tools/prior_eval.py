"""``make prior-eval``: the starter prior's gate, with the product's own refinement brought along."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

# before torch or numba are loaded: threads that spin while they wait starve each other
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from maquette_backend.priors.starter.starter_prior import StarterPrior
from maquette_backend.priors.starter.training.evaluate import main
from maquette_backend.priors.starter.training.evaluation.distillation import Refined
from maquette_backend.priors.starter.training.evaluation.shapes import Shape, Texture
from maquette_backend.refine.events import PreviewFrame, Progress, RefinedSubject, Wish
from maquette_backend.refine.job import refine_job
from maquette_protocol.messages import PromptReading
from maquette_protocol.recipe import ArrayRef, MeshRef, Recipe, Stages, Subject
from numpy.typing import NDArray

_TEXTURE = 256


@dataclass(frozen=True)
class Refinement:
    """The product's refinement, in memory. Implements ``evaluation.distillation.Refine``."""

    prior: StarterPrior

    def __call__(self, shape: Shape, prompt: str, *, geometry_steps: int, appearance_steps: int, seed: int) -> Refined:
        arrays: dict[str, NDArray[np.generic]] = {}
        mesh = MeshRef(_put(arrays, shape.positions), _put(arrays, shape.triangles))
        mode = "remesh" if geometry_steps else "texture_only"
        subject = Subject(f"{1:032x}", "subject", prompt, mesh, mode=mode, strength=1.0, texture_size=_TEXTURE)
        stages = Stages(geometry_steps=geometry_steps, appearance_steps=appearance_steps, preview_every=0)
        events = _Events("geometry" if geometry_steps else "appearance")
        recipe = Recipe((subject,), stages=stages, seed=seed)
        refine_job(recipe, lambda ref: arrays[ref.sha256], events, _Nowhere(), lambda _name: self.prior)
        (done,) = events.finished_subjects
        assert done.corner_uvs is not None
        assert done.base_color is not None
        texture = Texture(done.corner_uvs, done.base_color)
        return Refined(Shape(done.positions, done.triangles), texture, events.step_ms())


@dataclass
class _Events:
    """Keeps the result and when each step of one stage was done."""

    stage: str
    finished_subjects: list[RefinedSubject] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def prompts_read(self, readings: tuple[PromptReading, ...]) -> None:
        return None

    def notice(self, sentence: str) -> None:
        return None

    def progress(self, progress: Progress) -> None:
        if progress.stage == self.stage:
            self.times.append(time.perf_counter())

    def preview_wanted(self) -> bool:
        return False

    def preview(self, frame: PreviewFrame) -> None:
        raise AssertionError("no preview was wanted")

    def finished(self, subject: RefinedSubject) -> None:
        self.finished_subjects.append(subject)

    def wish(self) -> Wish:
        return "go_on"

    def step_ms(self) -> float:
        gaps = [1000 * (after - before) for before, after in pairwise(self.times)]
        return statistics.median(gaps) if gaps else 0.0


class _Nowhere:
    """No checkpoints: a measurement that is interrupted starts again."""

    def save(self, arrays: Mapping[str, NDArray[np.generic]], about: Mapping[str, str]) -> None:
        return None

    def load(self) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]] | None:
        return None


def _put(arrays: dict[str, NDArray[np.generic]], array: NDArray[np.generic]) -> ArrayRef:
    sha256 = hashlib.sha256(array.tobytes() + str(array.shape).encode()).hexdigest()
    arrays[sha256] = array
    return ArrayRef(sha256, f"{array.dtype.kind}{array.dtype.itemsize}", array.shape)


if __name__ == "__main__":
    main(Refinement)

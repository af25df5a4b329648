"""Everything a job needs around it, held in memory: arrays, events, checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from maquette_backend.priors.load import load_prior
from maquette_backend.priors.prior import Prior
from maquette_backend.refine.events import PreviewFrame, Progress, RefinedSubject, Wish
from maquette_backend.refine.job import refine_job
from maquette_protocol.messages import PromptReading
from maquette_protocol.recipe import IDENTITY, ArrayRef, Matrix4, MeshRef, Mode, Recipe, Stages, Subject
from numpy.typing import NDArray

SMALL = Stages(
    geometry_steps=6, appearance_steps=6, grid_resolution=32, views_per_step=2, render_size=64, preview_every=4
)


@dataclass
class Shelf:
    """Arrays by their hash; reads as ``ArrayReader``."""

    arrays: dict[str, NDArray[np.generic]] = field(default_factory=dict)

    def put(self, array: NDArray[np.generic]) -> ArrayRef:
        sha256 = hashlib.sha256(array.tobytes() + str(array.shape).encode()).hexdigest()
        self.arrays[sha256] = array
        return ArrayRef(sha256, f"{array.dtype.kind}{array.dtype.itemsize}", array.shape)

    def __call__(self, ref: ArrayRef) -> NDArray[np.generic]:
        array = self.arrays[ref.sha256]
        array.flags.writeable = False  # as a mapped blob is
        return array

    def subject(
        self,
        positions: NDArray[np.float32],
        triangles: NDArray[np.int32],
        corner_uvs: NDArray[np.float32] | None = None,
        *,
        number: int = 1,
        name: str = "Chair",
        prompt: str = "a wooden chair",
        mode: Mode = "remesh",
        world_from_object: Matrix4 = IDENTITY,
        strength: float = 0.5,
    ) -> Subject:
        uvs = None if corner_uvs is None else self.put(corner_uvs)
        mesh = MeshRef(self.put(positions), self.put(triangles), uvs)
        return Subject(
            f"{number:032x}",
            name,
            prompt,
            mesh,
            world_from_object,
            mode=mode,
            strength=strength,
            texture_size=64,
        )


@dataclass
class Store:
    """A checkpoint as it would lie on the disk: copies, replaced whole."""

    kept: tuple[dict[str, NDArray[np.generic]], dict[str, str]] | None = None
    saves: int = 0

    def save(self, arrays: Mapping[str, NDArray[np.generic]], about: Mapping[str, str]) -> None:
        self.kept = ({name: np.array(value) for name, value in arrays.items()}, dict(about))
        self.saves += 1

    def load(self) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]] | None:
        return None if self.kept is None else ({k: np.array(v) for k, v in self.kept[0].items()}, dict(self.kept[1]))


@dataclass
class Events:
    """Keeps what is reported; ``wishes`` says what is asked for the n-th time that it is asked."""

    wishes: Callable[[int], Wish] = lambda asked: "go_on"
    reports: list[Progress] = field(default_factory=list)
    previews: list[PreviewFrame] = field(default_factory=list)
    results: list[RefinedSubject] = field(default_factory=list)
    asked: int = 0
    readings: list[tuple[PromptReading, ...]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def prompts_read(self, readings: tuple[PromptReading, ...]) -> None:
        self.readings.append(readings)

    def notice(self, sentence: str) -> None:
        self.notices.append(sentence)

    def progress(self, progress: Progress) -> None:
        self.reports.append(progress)

    def preview_wanted(self) -> bool:
        return True

    def preview(self, frame: PreviewFrame) -> None:
        self.previews.append(frame)

    def finished(self, subject: RefinedSubject) -> None:
        self.results.append(subject)

    def wish(self) -> Wish:
        self.asked += 1
        return self.wishes(self.asked - 1)


_STARTER = load_prior("starter", "cpu")


def starter(name: str) -> Prior:
    """The shipped prior, loaded once."""
    assert name == "starter"
    return _STARTER


def run(
    recipe: Recipe,
    shelf: Shelf,
    store: Store | None = None,
    wishes: Callable[[int], Wish] = lambda asked: "go_on",
    priors: Callable[[str], Prior] = starter,
) -> Events:
    """The whole job; what it reported."""
    events = Events(wishes)
    refine_job(recipe, shelf, events, store or Store(), priors)
    return events


def equal(one: RefinedSubject, two: RefinedSubject) -> bool:
    """To the last bit."""
    names = ("positions", "triangles", "corner_uvs", "base_color")
    pairs = [(getattr(one, name), getattr(two, name)) for name in names]
    return (
        one.subject_id == two.subject_id
        and one.same_topology == two.same_topology
        and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
    )

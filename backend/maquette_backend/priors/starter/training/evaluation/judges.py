"""The two judges of samples: which kind of furnishing a picture shows, and from which side."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from maquette_backend.priors.starter.training.dataset import ModelRecord, ViewSet, to_tensor
from maquette_backend.priors.starter.training.evaluation import judge as judge_module
from maquette_backend.priors.starter.training.evaluation import judge_training
from maquette_backend.priors.starter.training.evaluation.judge import Judge, judged, load_judge, save_judge
from maquette_backend.priors.starter.training.evaluation.judge_training import JudgeEffort, Lesson, train_judge

KINDS = (
    "armchair", "bed", "cabinet", "chair", "desk", "lamp",
    "plant", "sanitary", "shelf", "sofa", "stool", "table",
)  # fmt: skip
"""The twelve categories that are judged: the index's kinds but appliances, doors and small decoration."""
SIDES_DEG = (0.0, 90.0, 180.0, 270.0)
SIDE_NAMES = ("front", "right", "back", "left")
"""Where the camera stands, from the subject's point of view at azimuths 0, 90, 180 and 270."""
SECTOR_DEG = 30.0
"""A view belongs to a side if it is this near to it; those between two sides are neither."""
_FRONTED_SHARE = 0.6
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exam:
    """What a judge answers on renders that it never saw."""

    labels: NDArray[np.int64]  # [N]
    answers: NDArray[np.int64]  # [N]
    models: NDArray[np.int64]  # [N]

    def by_model(self) -> NDArray[np.float64]:
        """Share of right answers of every model."""
        return np.array([(self.labels == self.answers)[self.models == row].mean() for row in np.unique(self.models)])

    def by_class(self) -> NDArray[np.float64]:
        """Share of right answers of every class that occurs, each model counting alike in its class."""
        shares = []
        for label in np.unique(self.labels):
            of_class = self.labels == label
            shares.append(Exam(self.labels[of_class], self.answers[of_class], self.models[of_class]).by_model().mean())
        return np.array(shares)


def kind_lesson(views: ViewSet, held_out: bool) -> Lesson:
    """All views of the models of the twelve kinds, of training or held out."""
    rows = [row for row, model in enumerate(views.models) if model.kind in KINDS and model.held_out == held_out]
    every = views.images.shape[1]
    labels = np.array([KINDS.index(views.models[row].kind) for row in rows], np.int64)
    return Lesson(
        views.images,
        np.repeat(np.array(rows, np.int64), every),
        np.tile(np.arange(every), len(rows)),
        np.repeat(labels, every),
        np.arange(len(KINDS)),
    )


def side_lesson(views: ViewSet, held_out: bool) -> Lesson:
    """The views of asymmetric models of the twelve kinds that show one of the four sides."""
    rows, shots, labels = [], [], []
    for row, model in enumerate(views.models):
        if model.held_out != held_out or not model.asymmetric or model.kind not in KINDS:
            continue
        sides = side_of(views.cameras[row, :, 0])
        seen = np.nonzero(sides >= 0)[0]
        rows += [row] * len(seen)
        shots += seen.tolist()
        labels += sides[seen].tolist()
    arrays = (np.array(values, np.int64) for values in (rows, shots, labels))
    return Lesson(views.images, *arrays, mirrored_label=np.array([0, 3, 2, 1]))


def side_of(azimuths_deg: NDArray[np.floating]) -> NDArray[np.int64]:
    """0 to 3, as in ``SIDE_NAMES``, or −1 for a view between two sides. Any shape."""
    nearest = np.round(azimuths_deg / 90.0).astype(np.int64)
    return np.where(np.abs(azimuths_deg - 90.0 * nearest) <= SECTOR_DEG, nearest % 4, -1)


def fronted_kinds(models: Sequence[ModelRecord]) -> tuple[str, ...]:
    """Those of the twelve of which most training models look different from every side."""
    all_of = Counter(model.kind for model in models if not model.held_out)
    turned = Counter(model.kind for model in models if not model.held_out and model.asymmetric)
    return tuple(kind for kind in KINDS if turned[kind] >= _FRONTED_SHARE * max(1, all_of[kind]))


def obtain_judge(name: str, lesson: Lesson, effort: JudgeEffort, cache: Path) -> Judge:
    """The judge of ``lesson``, trained at the first call and kept in ``cache``."""
    path = cache / f"{name}-{_digest(lesson, effort)}.safetensors"
    classes = len(lesson.mirrored_label)
    if path.exists():
        return load_judge(path, classes)

    def report(step: int, loss: float) -> None:
        if step % 200 == 0:
            _log.info("judge of %s: step %d of %d, loss %.3f", name, step, effort.steps, loss)

    trained = train_judge(lesson, effort, report)
    save_judge(path, trained, {"name": name, "pictures": str(len(lesson.labels))})
    return load_judge(path, classes)


def examine(judge: Judge, lesson: Lesson, mirrored_too: bool) -> Exam:
    """Asks the judge about every picture of ``lesson``; left and right can't be averaged over the mirror."""
    answers = []
    for start in range(0, len(lesson.labels), 256):
        part = slice(start, start + 256)
        pictures = to_tensor(lesson.images[lesson.rows[part], lesson.shots[part]]).contiguous()
        answers.append(judged(judge, pictures, mirrored_too).argmax(1).numpy())
    return Exam(lesson.labels, np.concatenate(answers), lesson.rows)


def folds_of(models: Sequence[ModelRecord], lesson: Lesson, folds: int) -> NDArray[np.int64]:
    """[N] a fold for every picture; models of one name are never on both sides."""
    nouns = sorted({models[row].noun for row in np.unique(lesson.rows)})
    order = np.random.default_rng(11).permutation(len(nouns))
    fold = {noun: int(place) % folds for noun, place in zip(nouns, order, strict=True)}
    return np.array([fold[models[row].noun] for row in lesson.rows])


def cross_examine(
    name: str, models: Sequence[ModelRecord], lesson: Lesson, effort: JudgeEffort, cache: Path, folds: int
) -> Exam:
    """Every picture of ``lesson`` judged by a judge that never saw a model of its name: many more than are held out."""
    fold = folds_of(models, lesson, folds)
    parts = []
    for number in range(folds):
        judge = obtain_judge(f"{name}-fold{number}", _subset(lesson, fold != number), effort, cache)
        parts.append(examine(judge, _subset(lesson, fold == number), mirrored_too=name == "kinds"))
    joined = (np.concatenate([getattr(part, field) for part in parts]) for field in ("labels", "answers", "models"))
    return Exam(*joined)


def _subset(lesson: Lesson, chosen: NDArray[np.bool_]) -> Lesson:
    return Lesson(
        lesson.images, lesson.rows[chosen], lesson.shots[chosen], lesson.labels[chosen], lesson.mirrored_label
    )


def _digest(lesson: Lesson, effort: JudgeEffort) -> str:
    """Of everything a judge's weights depend on."""
    digest = hashlib.sha256(repr(effort).encode())
    for module in (judge_module, judge_training):
        digest.update(Path(str(module.__file__)).read_bytes())
    for array in (lesson.rows, lesson.shots, lesson.labels, lesson.mirrored_label):
        digest.update(array.tobytes())
    digest.update(np.ascontiguousarray(lesson.images[:, 0, :, ::8, ::8]).tobytes())
    digest.update(torch.__version__.encode())
    return digest.hexdigest()[:16]

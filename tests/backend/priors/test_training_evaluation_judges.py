"""Judges learn what they are asked, see what they must not, and are examined on what they never saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.dataset import ViewSet
from maquette_backend.priors.starter.training.evaluation.judge import Judge, judged, log_odds, mirrored
from maquette_backend.priors.starter.training.evaluation.judge_training import (
    JudgeEffort,
    Lesson,
    degraded,
    drawing_probabilities,
    train_judge,
)
from maquette_backend.priors.starter.training.evaluation.judges import (
    Exam,
    examine,
    folds_of,
    fronted_kinds,
    kind_lesson,
    obtain_judge,
    side_lesson,
    side_of,
)
from small_views import small_views

SHORT = JudgeEffort(steps=50, batch_size=24)


def chairs(count: int = 8) -> ViewSet:
    """Discs that stand left, in the middle or right, as the azimuth has it."""
    views = small_views(count, size=64)
    models = [
        replace(model, kind="chair", asymmetric=True, noun=f"chair {number % 5}", held_out=number < 2)
        for number, model in enumerate(views.models)
    ]
    return replace(views, models=tuple(models))


def lesson_of_halves(seed: int, models: int = 6, shots: int = 8) -> Lesson:
    """A bright bar in the left or in the right half, named 0 and 1; in the mirror each is the other."""
    random = np.random.default_rng(seed)
    images = np.full((models, shots, 7, 64, 64), 128, np.uint8)
    images[:, :, 6] = 0
    labels = random.integers(0, 2, (models, shots))
    for row in range(models):
        for shot in range(shots):
            left = 14 + 28 * labels[row, shot] + random.integers(-3, 4)
            images[row, shot, 3:, 16:48, left : left + 8] = 255
    rows, places = np.divmod(np.arange(models * shots), shots)
    return Lesson(images, rows, places, labels.reshape(-1), np.array([1, 0]))


def test_a_judge_learns_left_from_right_though_half_its_lessons_are_mirrored() -> None:
    judge = train_judge(lesson_of_halves(0), SHORT, lambda step, loss: None)
    exam = examine(judge, lesson_of_halves(1), mirrored_too=False)
    assert (exam.labels == exam.answers).mean() > 0.9


def test_a_judge_is_the_same_each_time_and_is_read_back(tmp_path: Path) -> None:
    lesson, effort = lesson_of_halves(0), JudgeEffort(steps=4, batch_size=8)
    trained = obtain_judge("halves", lesson, effort, tmp_path)
    again = obtain_judge("halves", lesson, effort, tmp_path)
    anew = obtain_judge("halves", lesson, effort, tmp_path / "elsewhere")
    pictures = torch.randn(3, 7, 64, 64, generator=torch.Generator().manual_seed(0))
    answers = [judged(judge, pictures, mirrored_too=False) for judge in (trained, again, anew)]
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_the_mean_over_the_mirror_is_the_same_for_the_mirrored_picture() -> None:
    judge = Judge(3).eval()
    pictures = torch.rand(2, 7, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.allclose(judged(judge, pictures), judged(judge, mirrored(pictures)), atol=1e-5)
    assert torch.equal(mirrored(mirrored(pictures)), pictures)


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 30.0, -30.0]], dtype=torch.float64)
    share = logits.softmax(1)[0, 2]
    assert torch.isclose(log_odds(logits, 2)[0], (share / (1 - share)).log())
    assert torch.isclose(log_odds(logits, 1)[1], torch.tensor(30.0, dtype=torch.float64))


def test_classes_are_drawn_alike_and_models_within_them() -> None:
    rows = np.array([0, 0, 0, 1, 2, 2])
    lesson = Lesson(np.zeros((3, 3, 7, 8, 8), np.uint8), rows, rows, np.array([0, 0, 0, 0, 1, 1]), np.arange(2))
    assert np.allclose(drawing_probabilities(lesson), [1 / 12, 1 / 12, 1 / 12, 1 / 4, 1 / 4, 1 / 4])


def test_an_empty_picture_stays_empty_but_for_noise() -> None:
    """What enters a shifted frame is background: no colour, no normal, nothing covered."""
    empty = torch.zeros(64, 7, 32, 32)
    empty[:, picture.COVERAGE] = -1
    seen = degraded(empty, np.random.default_rng(0))
    assert seen[:, picture.COVERAGE].mean() < -0.9
    assert seen[:, :6].mean((0, 2, 3)).abs().max() < 0.02


def test_sides_are_sectors_around_the_quarters() -> None:
    azimuths = np.array([0.0, 29.0, 31.0, 59.0, 61.0, 90.0, 181.0, 269.0, 300.0, 301.0, 331.0, 359.9])
    assert side_of(azimuths).tolist() == [0, 0, -1, -1, 1, 1, 2, 3, 3, -1, 0, 0]


def test_lessons_part_training_from_held_out_and_sides_by_azimuth() -> None:
    views = chairs()
    assert set(kind_lesson(views, held_out=False).rows.tolist()) == set(range(2, 8))
    held_out = side_lesson(views, held_out=True)
    assert set(held_out.rows.tolist()) == {0, 1}
    # azimuths are 0, 45, 90 to 315: every second one lies between two sides and is no lesson
    found = dict(zip(held_out.shots.tolist(), held_out.labels.tolist(), strict=True))
    assert found == {0: 0, 2: 1, 4: 2, 6: 3}
    assert fronted_kinds(views.models) == ("chair",)


def test_folds_never_part_a_name() -> None:
    views = chairs()
    lesson = kind_lesson(views, held_out=False)
    fold = folds_of(views.models, lesson, 3)
    by_noun: dict[str, set[int]] = {}
    for row, number in zip(lesson.rows.tolist(), fold.tolist(), strict=True):
        by_noun.setdefault(views.models[row].noun, set()).add(number)
    assert all(len(numbers) == 1 for numbers in by_noun.values())
    assert set(fold.tolist()) == {0, 1, 2}


def test_an_exam_counts_models_alike_and_classes_alike() -> None:
    labels, answers = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    exam = Exam(labels, answers, models=np.array([0, 0, 0, 1, 2, 2]))
    assert exam.by_model().tolist() == [1.0, 0.0, 1.0]
    assert exam.by_class().tolist() == [0.5, 1.0]

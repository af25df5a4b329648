"""Trains a judge on renders, hard enough that it can look at samples: blurred, noisy, recoloured, shifted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.captions import CHANNEL_ORDERS
from maquette_backend.priors.starter.training.dataset import to_tensor
from maquette_backend.priors.starter.training.evaluation.judge import Judge


@dataclass(frozen=True)
class Lesson:
    """Pictures with their classes, and which may be learned from."""

    images: NDArray[np.uint8]
    """[M,V,7,S,S], usually mapped from disk."""
    rows: NDArray[np.int64]
    """[N] model of each picture."""
    shots: NDArray[np.int64]
    """[N] view of each picture."""
    labels: NDArray[np.int64]
    """[N]"""
    mirrored_label: NDArray[np.int64]
    """[classes] what a class is called in the mirror: left becomes right."""


@dataclass(frozen=True)
class JudgeEffort:
    """How long a judge learns."""

    steps: int = 3000
    batch_size: int = 64
    rate: float = 3e-3
    weight_decay: float = 0.03
    smoothing: float = 0.05
    seed: int = 5


def train_judge(lesson: Lesson, effort: JudgeEffort, after_step: Callable[[int, float], None]) -> Judge:
    """A judge of ``lesson``; classes are drawn alike, and models alike within a class."""
    classes = len(lesson.mirrored_label)
    with torch.random.fork_rng():
        torch.manual_seed(effort.seed)
        judge = Judge(classes).train()
        optimizer = torch.optim.AdamW(judge.parameters(), effort.rate, weight_decay=effort.weight_decay)
        probabilities = drawing_probabilities(lesson)
        for step in range(effort.steps):
            optimizer.param_groups[0]["lr"] = effort.rate * _rate(step / effort.steps)
            pictures, labels = _draw(lesson, probabilities, effort, step)
            with torch.autocast("cpu", dtype=torch.bfloat16):  # twice as fast, and as good
                logits = judge(pictures)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=effort.smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            after_step(step, loss.item())
    return judge.eval().requires_grad_(False)


def drawing_probabilities(lesson: Lesson) -> NDArray[np.float64]:
    """[N], summing to 1 / classes over each class and to the same over each model of it."""
    weights = np.zeros(len(lesson.labels))
    for label in np.unique(lesson.labels):
        of_class = lesson.labels == label
        _, model, counts = np.unique(lesson.rows[of_class], return_inverse=True, return_counts=True)
        weights[of_class] = 1 / counts[model] / len(counts)
    return weights / weights.sum()


def degraded(pictures: Tensor, random: np.random.Generator) -> Tensor:
    """What a sample may lack: shifted and scaled, recoloured or without colour, blurred, noisy, in part covered."""
    count = len(pictures)
    pictures = _moved(pictures, random)
    for sample, order in enumerate(random.integers(0, len(CHANNEL_ORDERS), count)):
        pictures[sample, picture.COLOR] = pictures[sample, list(CHANNEL_ORDERS[order])]
    gain = torch.from_numpy(random.uniform(0.6, 1.4, (count, 3, 1, 1)).astype(np.float32))
    pictures[:, picture.COLOR] = (pictures[:, picture.COLOR] * gain).clamp(-1, 1)
    for part, share in ((picture.COLOR, 0.3), (picture.NORMAL, 0.1)):
        pictures[torch.from_numpy(random.random(count) < share), part] = 0
    blurred = torch.from_numpy(random.random(count) < 0.4)
    soft = F.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
    pictures = torch.where(blurred[:, None, None, None], soft, pictures)
    level = torch.from_numpy((0.25 * random.random((count, 1, 1, 1)) ** 2).astype(np.float32))
    noise = torch.from_numpy(random.standard_normal(pictures.shape, np.float32))
    return (pictures + level * noise).clamp(-1, 1)


def _moved(pictures: Tensor, random: np.random.Generator) -> Tensor:
    count = len(pictures)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = torch.from_numpy(random.uniform(0.85, 1.2, count).astype(np.float32))
    matrix[:, :, 2] = torch.from_numpy(random.uniform(-0.12, 0.12, (count, 2)).astype(np.float32))
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    # the background's coverage is −1 and everything else of it 0: lifted to 0 so that what enters the frame is empty
    lifted = pictures.clone()
    lifted[:, picture.COVERAGE] += 1
    moved = F.grid_sample(lifted, grid, align_corners=False)
    moved[:, picture.COVERAGE] -= 1
    return moved


def _draw(
    lesson: Lesson, probabilities: NDArray[np.float64], effort: JudgeEffort, step: int
) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng((effort.seed, step))
    chosen = random.choice(len(probabilities), effort.batch_size, p=probabilities)
    pictures = to_tensor(lesson.images[lesson.rows[chosen], lesson.shots[chosen]]).contiguous()
    labels = lesson.labels[chosen]
    turned = random.random(effort.batch_size) < 0.5
    flipped = torch.from_numpy(turned)
    pictures[flipped] = pictures[flipped].flip(-1)
    pictures[flipped, picture.NORMAL.start] *= -1
    labels = np.where(turned, lesson.mirrored_label[labels], labels)
    return degraded(pictures, random), torch.from_numpy(labels)


def _rate(progress: float) -> float:
    return min(1.0, progress / 0.05 + 0.05) * 0.5 * (1 + math.cos(math.pi * progress))

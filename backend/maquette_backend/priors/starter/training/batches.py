"""Training batches: drawn by weight, augmented, every number from (seed, step), so a resumed run repeats them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.priors.prior import Views
from maquette_backend.priors.starter.camera import TRAINED_FOV_DEG, camera_vector
from maquette_backend.priors.starter.training.captions import CHANNEL_ORDERS
from maquette_backend.priors.starter.training.dataset import ViewSet, sampling_weight, to_tensor


@dataclass(frozen=True)
class Augmentation:
    """Shares of the samples that are changed or lose a condition."""

    normals: float = 0.3
    """Show normals in place of colour."""
    reordered: float = 0.35
    """Colour pictures with their channels in another order."""
    mirrored: float = 0.5
    no_text_nor_camera: float = 0.05
    no_text: float = 0.07
    no_camera: float = 0.03
    high_times: float = 0.5
    """Times drawn from ``HIGH_TIMES``, which distillation uses most; the others from all."""


HIGH_TIMES = (0.6, 0.999)
ALL_TIMES = (0.001, 0.999)


@dataclass(frozen=True)
class Batch:
    """B samples, ready for the network but for the data scale and the noise being mixed in."""

    clean: Tensor  # [B,3,S,S] in −1..1
    noise: Tensor  # [B,3,S,S]
    time: Tensor  # [B]
    text: Tensor  # [B,384], zeros where dropped
    camera: Tensor  # [B,6], zeros where dropped
    modality: Tensor  # [B] int64


@dataclass(frozen=True)
class Pool:
    """The models that training draws from."""

    views: ViewSet
    rows: NDArray[np.int64]  # [K] into views.models
    probabilities: NDArray[np.float64]  # [K]


def training_pool(views: ViewSet) -> Pool:
    """All models but the held-out ones, furniture drawn more often."""
    rows = np.array([row for row, model in enumerate(views.models) if not model.held_out])
    weights = np.array([sampling_weight(views.models[row]) for row in rows])
    return Pool(views, rows, weights / weights.sum())


def draw_batch(pool: Pool, batch_size: int, size: int, augmentation: Augmentation, seed: int, step: int) -> Batch:
    """The batch of one step: ``size`` is 64, or a divisor of it, to which pictures are averaged down."""
    random = np.random.default_rng((seed, step))
    models = random.choice(pool.rows, batch_size, p=pool.probabilities)
    shots = random.integers(0, pool.views.images.shape[2], batch_size)
    modality = (random.random(batch_size) < augmentation.normals).astype(np.int64)
    is_reordered = (random.random(batch_size) < augmentation.reordered) & (modality == 0)
    order = np.where(is_reordered, random.integers(1, len(CHANNEL_ORDERS), batch_size), 0)
    mirrored = random.random(batch_size) < augmentation.mirrored
    phrasing = random.integers(0, pool.views.texts.shape[2], batch_size)
    pictures = np.stack([pool.views.images[m, i, v] for m, i, v in zip(modality, models, shots, strict=True)])
    clean = _augmented(to_tensor(pictures), modality, order, mirrored)
    cameras = pool.views.cameras[models, shots]  # a copy
    cameras[mirrored, 0] *= -1  # a picture seen from the left, mirrored, is one seen from the right
    text = pool.views.texts[models, order, phrasing].clone()
    camera = cameras_to_vectors(cameras)
    _drop_conditions(text, camera, random.random(batch_size), augmentation)
    clean = F.avg_pool2d(clean, clean.shape[-1] // size) if clean.shape[-1] != size else clean
    noise = torch.from_numpy(random.standard_normal(clean.shape, np.float32))
    time = _times(random, batch_size, augmentation.high_times)
    return Batch(clean, noise, time, text, camera, torch.from_numpy(modality))


def cameras_to_vectors(cameras: NDArray[np.floating]) -> Tensor:
    """[B,3] azimuth and elevation in degrees, distance → [B,6] camera vectors."""
    table = torch.from_numpy(np.asarray(cameras, np.float32))
    fov_y = torch.full((len(table),), math.radians(TRAINED_FOV_DEG))
    return camera_vector(Views(torch.deg2rad(table[:, 0]), torch.deg2rad(table[:, 1]), table[:, 2], fov_y))


def _augmented(
    clean: Tensor, modality: NDArray[np.int64], order: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> Tensor:
    """Channels reordered, pictures mirrored; in a mirrored normal picture the x component changes its sign."""
    for sample in np.nonzero(order)[0]:
        clean[sample] = clean[sample][list(CHANNEL_ORDERS[order[sample]])]
    flipped = torch.from_numpy(mirrored)
    if mirrored.any():
        clean[flipped] = clean[flipped].flip(-1)
    clean[flipped & torch.from_numpy(modality == 1), 0] *= -1
    return clean


def _drop_conditions(text: Tensor, camera: Tensor, chance: NDArray[np.float64], shares: Augmentation) -> None:
    """Zeroes rows in place, so that the network also learns what it looks like to be told nothing."""
    both = chance < shares.no_text_nor_camera
    only_text = ~both & (chance < shares.no_text_nor_camera + shares.no_text)
    only_camera = ~both & ~only_text & (chance < shares.no_text_nor_camera + shares.no_text + shares.no_camera)
    text[torch.from_numpy(both | only_text)] = 0
    camera[torch.from_numpy(both | only_camera)] = 0


def _times(random: np.random.Generator, batch_size: int, high_share: float) -> Tensor:
    high = random.random(batch_size) < high_share
    times = np.where(high, random.uniform(*HIGH_TIMES, batch_size), random.uniform(*ALL_TIMES, batch_size))
    return torch.from_numpy(times.astype(np.float32))

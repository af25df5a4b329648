"""Training batches: drawn by weight, augmented, every number from (seed, step), so a resumed run repeats them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.priors.prior import Views
from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.conditioning import camera_features
from maquette_backend.priors.starter.network import Condition
from maquette_backend.priors.starter.training.captions import CHANNEL_ORDERS
from maquette_backend.priors.starter.training.dataset import STRETCH_EVERY, ViewSet, sampling_weights, to_tensor
from maquette_backend.priors.starter.training.recoloring import (
    Recoloring,
    draw_recoloring,
    recolor_picture,
    recolored_caption,
)

Encode = Callable[[Sequence[str]], Tensor]
"""Texts → token vectors [B,T,128]."""
HIGH_TIMES = (0.6, 0.999)
ALL_TIMES = (0.001, 0.999)


@dataclass(frozen=True)
class Augmentation:
    """Shares of the samples that are changed or lose a condition."""

    reordered: float = 0.15
    """With their colour channels in another order."""
    recolored: float = 0.4
    """With another main colour."""
    mirrored: float = 0.5
    no_text_nor_camera: float = 0.05
    no_text: float = 0.07
    no_camera: float = 0.03
    high_times: float = 0.5
    """Times drawn from ``HIGH_TIMES``, which distillation uses most; the others from all."""
    geometry_given: float = 0.2
    """Clean geometry, so that colour is learned for a known shape."""
    geometry_alone: float = 0.15
    """Colour is nothing but noise, and so says nothing."""
    color_alone: float = 0.1


@dataclass(frozen=True)
class Batch:
    """B samples, ready but for the noise being mixed in."""

    clean: Tensor  # [B,7,S,S] encoded pictures
    noise: Tensor  # [B,7,S,S]
    told: Condition
    learned: Tensor
    """[B,7,1,1]: 1 for the channels that are asked for, 0 for those that are given clean or are pure noise."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        told = Condition(*(part.to(device) for part in vars(self.told).values()))
        return Batch(self.clean.to(device), self.noise.to(device), told, self.learned.to(device))


@dataclass(frozen=True)
class Pool:
    """The models that training draws from."""

    views: ViewSet
    rows: NDArray[np.int64]  # [K] into views.models
    probabilities: NDArray[np.float64]  # [K]


def training_pool(views: ViewSet) -> Pool:
    """All models but the held-out ones, furniture drawn more often."""
    rows = np.array([row for row, model in enumerate(views.models) if not model.held_out])
    weights = sampling_weights([views.models[row] for row in rows])
    return Pool(views, rows, weights / weights.sum())


def draw_batch(
    pool: Pool,
    encode: Encode,
    batch_size: int,
    size: int,
    augmentation: Augmentation,
    seed: int,
    step: int,
    together: int = 1,
) -> Batch:
    """The batch of one step: ``size`` is 64, or a divisor of it, to which pictures are averaged down.

    Each ``together`` samples are views of one model from evenly spaced sides, alike in all but side and noise.
    ``batch_size`` is a multiple of it. Raises ValueError if the pool's views can't be shared out so.
    """
    random = np.random.default_rng((seed, step))
    count = batch_size // together
    models = random.choice(pool.rows, count, p=pool.probabilities)
    shots = _shots(random, count, pool.views.images.shape[1], together)
    changed = random.random(count)
    reordered = changed < augmentation.reordered
    order = np.where(reordered, random.integers(1, len(CHANNEL_ORDERS), count), 0)
    recolored = ~reordered & (changed < augmentation.reordered + augmentation.recolored)
    mirrored = random.random(count) < augmentation.mirrored
    colorings = [
        draw_recoloring(pool.views.palettes[row], random) if new else None
        for row, new in zip(models, recolored, strict=True)
    ]
    texts = [_caption(pool, *of_model, random) for of_model in zip(models, order, colorings, strict=True)]
    models, order, mirrored = models.repeat(together), order.repeat(together), mirrored.repeat(together)
    clean = augmented(to_tensor(pool.views.images[models, shots]), order, mirrored)
    for sample, coloring in enumerate(one for one in colorings for _ in range(together)):
        if coloring is not None:
            clean[sample] = recolor_picture(clean[sample], coloring)
    clean = F.avg_pool2d(clean, clean.shape[-1] // size) if clean.shape[-1] != size else clean
    cameras = pool.views.cameras[models, shots]  # a copy
    cameras[mirrored, 0] *= -1  # a picture seen from the left, mirrored, is one seen from the right
    chance = random.random(count)
    noise = torch.from_numpy(random.standard_normal(clean.shape, np.float32))
    times, learned = part_times(_times(random, count, augmentation.high_times), random, augmentation)
    color_time, geometry_time, learned = (
        of_model.repeat_interleave(together, 0) for of_model in (times["color"], times["geometry"], learned)
    )
    camera = cameras_to_features(cameras)
    texts = _drop_conditions(
        [text for text in texts for _ in range(together)], camera, np.repeat(chance, together), augmentation
    )
    return Batch(picture.encode(clean), noise, Condition(color_time, geometry_time, encode(texts), camera), learned)


def _shots(random: np.random.Generator, models: int, views: int, together: int) -> NDArray[np.int64]:
    """Numbers of the views, ``together`` of each model: [models·together]. Those of one model show one shape."""
    if together == 1:
        return random.integers(0, views, models)
    if views % (together * STRETCH_EVERY):
        raise ValueError(f"{views} views of a model can't be shared out to turns of {together}")
    first = STRETCH_EVERY * random.integers(0, views // (together * STRETCH_EVERY), models)
    return (first[:, None] + views // together * np.arange(together)).ravel()


def cameras_to_features(cameras: NDArray[np.floating]) -> Tensor:
    """[B,4] azimuth and elevation in degrees, distance, field of view in degrees → camera features [B,24]."""
    azimuth, elevation, distance, fov_y = torch.from_numpy(np.asarray(cameras, np.float32)).unbind(1)
    return camera_features(Views(torch.deg2rad(azimuth), torch.deg2rad(elevation), distance, torch.deg2rad(fov_y)))


def augmented(clean: Tensor, order: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
    """Pictures [B,7,S,S] with colours reordered and mirrored; a mirrored normal's x component changes its sign."""
    for sample in np.nonzero(order)[0]:
        clean[sample, picture.COLOR] = clean[sample, list(CHANNEL_ORDERS[order[sample]])]
    flipped = torch.from_numpy(mirrored)
    if mirrored.any():
        clean[flipped] = clean[flipped].flip(-1)
        clean[flipped, picture.NORMAL.start] *= -1
    return clean


def part_times(
    time: Tensor, random: np.random.Generator, shares: Augmentation
) -> tuple[dict[picture.Part, Tensor], Tensor]:
    """Times [B] → those of colour and of geometry, and which channels [B,7,1,1] are learned.

    Two noise levels in one network give the joint distribution, either part alone, and colour for a given shape
    (Bao et al. 2023, "One transformer fits all distributions", section 3).
    """
    chance = torch.from_numpy(random.random(len(time)))
    given = chance < shares.geometry_given
    geometry_only = ~given & (chance < shares.geometry_given + shares.geometry_alone)
    both = shares.geometry_given + shares.geometry_alone
    color_only = ~given & ~geometry_only & (chance < both + shares.color_alone)
    color = torch.where(geometry_only, torch.ones_like(time), time)
    geometry = torch.where(given, torch.zeros_like(time), time)
    geometry = torch.where(color_only, torch.ones_like(time), geometry)
    learned = torch.ones(len(time), picture.CHANNELS, 1, 1)
    learned[geometry_only, picture.COLOR] = 0
    learned[given | color_only, picture.GEOMETRY] = 0
    return {"color": color, "geometry": geometry}, learned


def _caption(pool: Pool, row: int, order: int, coloring: Recoloring | None, random: np.random.Generator) -> str:
    model = pool.views.models[row]
    if coloring is not None:
        return recolored_caption(model.noun, pool.views.palettes[row], coloring, random)
    wordings = model.captions[order]
    return wordings[int(random.integers(len(wordings)))]


def _drop_conditions(texts: list[str], camera: Tensor, chance: NDArray[np.float64], shares: Augmentation) -> list[str]:
    """Empties some texts and zeroes some cameras (in place): the network also learns what being told nothing means."""
    both = chance < shares.no_text_nor_camera
    only_text = ~both & (chance < shares.no_text_nor_camera + shares.no_text)
    only_camera = ~both & ~only_text & (chance < shares.no_text_nor_camera + shares.no_text + shares.no_camera)
    camera[torch.from_numpy(both | only_camera)] = 0
    return ["" if dropped else text for text, dropped in zip(texts, both | only_text, strict=True)]


def _times(random: np.random.Generator, batch_size: int, high_share: float) -> Tensor:
    high = random.random(batch_size) < high_share
    times = np.where(high, random.uniform(*HIGH_TIMES, batch_size), random.uniform(*ALL_TIMES, batch_size))
    return torch.from_numpy(times.astype(np.float32))

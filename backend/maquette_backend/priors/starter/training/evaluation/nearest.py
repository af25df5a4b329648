"""Are samples copies? The training picture nearest to each, mirrored and recoloured ones included.

The distance is LPIPS-like (Zhang et al. 2018, eq. 1): the root of the mean squared difference of unit-normalised
activations over places, here of the judge's stages and with weight 1, and of the picture itself made small. A
sample counts as a copy if its nearest model is less than half as far as its fifty nearest models on average: it
then owes to one model what it should owe to many (after Carlini et al. 2023, section 4.2, eq. 1, who use pictures).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.captions import CHANNEL_ORDERS
from maquette_backend.priors.starter.training.dataset import ViewSet, to_tensor
from maquette_backend.priors.starter.training.evaluation.judge import Judge, mirrored

NEIGHBOURS = 50
COPY_RATIO = 0.5
_PLACES = {1: 4, 2: 4, 3: 2}
"""Stage of the judge → side of the grid its activations are averaged on."""
_SMALL = 8
_BATCH = 128


@dataclass(frozen=True)
class Neighbours:
    """Q pictures and the training models nearest to them."""

    model: NDArray[np.int64]
    """[Q] row of the nearest model."""
    shot: NDArray[np.int64]
    """[Q] its view."""
    distance: NDArray[np.float64]
    """[Q]"""
    ratio: NDArray[np.float64]
    """[Q] ``distance`` over the mean distance of the fifty nearest models."""

    @property
    def copies(self) -> NDArray[np.bool_]:
        return self.ratio < COPY_RATIO


@torch.no_grad()
def signatures(judge: Judge, pictures: Tensor) -> Tensor:
    """[B,7,64,64] in −1..1 → [B,D]; the Euclidean distance of two is the distance of the pictures."""
    parts = []
    for chunk in pictures.split(_BATCH):
        activations = judge.activations(chunk)
        columns = [_pooled(F.normalize(activations[stage], dim=1), side) for stage, side in _PLACES.items()]
        columns.append(_pooled(chunk, _SMALL))
        parts.append(torch.cat(columns, 1))
    return torch.cat(parts)


def nearest(judge: Judge, views: ViewSet, queries: Tensor, every: int) -> Neighbours:
    """Among every ``every``-th view of all training models, for pictures [Q,7,64,64] in −1..1."""
    rows = np.array([row for row, model in enumerate(views.models) if not model.held_out])
    shots = np.arange(0, views.images.shape[1], every)
    asked = torch.cat([signatures(judge, variant) for variant in _variants(queries)])
    count = len(queries)
    found = torch.full((count, len(rows)), torch.inf)
    best = torch.zeros((count, len(rows)), dtype=torch.int64)
    for place, row in enumerate(rows):
        known = signatures(judge, to_tensor(views.images[row, shots]).contiguous())
        distances = torch.cdist(asked, known).view(-1, count, len(shots)).amin(0)
        found[:, place], best[:, place] = distances.min(1)
    distance, place = found.min(1)
    mean = found.topk(min(NEIGHBOURS, len(rows)), largest=False).values.mean(1)
    model = rows[place.numpy()]
    shot = shots[best[torch.arange(count), place].numpy()]
    return Neighbours(model, shot, distance.double().numpy(), (distance / mean).double().numpy())


def _variants(queries: Tensor) -> list[Tensor]:
    """The training set holds every picture mirrored and in six channel orders: the query is turned instead."""
    both = (queries, mirrored(queries))
    return [_reordered(pictures, order) for pictures in both for order in CHANNEL_ORDERS]


def _reordered(pictures: Tensor, order: tuple[int, ...]) -> Tensor:
    turned = pictures.clone()
    turned[:, picture.COLOR] = pictures[:, list(order)]
    return turned


def _pooled(values: Tensor, side: int) -> Tensor:
    """[B,C,S,S] → [B,C·side²], scaled so that squares add up to a mean over places."""
    return F.adaptive_avg_pool2d(values, side).flatten(1) / side

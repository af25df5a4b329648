"""The colour word of a picture, as the captions measure it, once its shading is undone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.color_words import color_word
from maquette_backend.priors.starter.training.dataset import ViewSet, to_tensor

_AMBIENT, _DIFFUSE, _SKY = 0.40, 0.40, 0.25
_LIGHT = (-0.45, 0.60, 0.66)
"""The renderer's light, in camera space: what it did to a colour can be undone where the normal is known."""
_COVERED = 0.5
"""Of −1..1: three quarters of the pixel."""
_LEAST_PIXELS = 20


def shown_color(pictures: Tensor, elevations_deg: Sequence[float]) -> list[str]:
    """The colour word of each picture [B,7,S,S] in −1..1; empty where next to nothing is covered."""
    return [
        _word(shown, math.radians(elevation)) for shown, elevation in zip(pictures, elevations_deg, strict=True)
    ]


def unshaded(shown: Tensor, elevation: float) -> NDArray[np.float64]:
    """Colours [P,3] in 0..1 of a picture's [7,S,S] covered pixels without light and sky; ``elevation`` in radians."""
    covered = shown[picture.COVERAGE.start] > _COVERED
    color = (shown[picture.COLOR, covered].T + 1) / 2
    normal = torch.nn.functional.normalize(shown[picture.NORMAL, covered].T, dim=1, eps=1e-3)
    light = torch.nn.functional.normalize(torch.tensor(_LIGHT), dim=0)
    upwards = normal @ torch.tensor([0.0, math.cos(elevation), math.sin(elevation)])
    shade = _AMBIENT + _DIFFUSE * (normal @ light).clamp(min=0) + _SKY * (0.5 + 0.5 * upwards)
    return (color / shade[:, None]).clamp(0, 1).double().numpy()


def ceiling(views: ViewSet) -> NDArray[np.float64]:
    """How often the method finds a model's own colour word in single renders of it: a share per held-out model.

    Below 1 because one side of a thing may show other colours than most of it. Only views that are not stretched.
    """
    shares = []
    for row, model in enumerate(views.models):
        if model.held_out:
            shown = to_tensor(views.images[row, ::2]).contiguous()
            words = shown_color(shown, views.cameras[row, ::2, 1].tolist())
            shares.append(np.mean([word == model.color for word in words]))
    return np.array(shares)


def confusion(asked: Sequence[str], found: Sequence[str]) -> dict[str, dict[str, int]]:
    """asked word → found word → how often."""
    table: dict[str, dict[str, int]] = {}
    for wanted, word in zip(asked, found, strict=True):
        row = table.setdefault(wanted, {})
        row[word or "nothing"] = row.get(word or "nothing", 0) + 1
    return table


def _word(shown: Tensor, elevation: float) -> str:
    colors = unshaded(shown, elevation)
    return color_word(colors) if len(colors) >= _LEAST_PIXELS else ""

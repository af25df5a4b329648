"""A small set of rendered views, made up: coloured discs whose place follows the camera; the first two held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from maquette_backend.priors.starter.training.dataset import ModelRecord, ViewSet
from torch import Tensor

VIEWS = 8


def small_views(models: int = 4, size: int = 16) -> ViewSet:
    """Discs of one colour per model on mid grey, moved sideways by the azimuth; [models,8,7,size,size]."""
    random = np.random.default_rng(0)
    images = np.full((models, VIEWS, 7, size, size), 128, np.uint8)
    images[:, :, 6] = 0
    cameras = np.zeros((models, VIEWS, 4), np.float32)
    cameras[:, :, 0] = np.arange(VIEWS) * 360 / VIEWS
    cameras[:, :, 1:] = 20, 1.95, 40
    palettes = np.zeros((models, 16, 3), np.uint8)
    row, column = np.mgrid[:size, :size]
    for model in range(models):
        disc = [*random.integers(0, 255, 3), 200, 128, 230, 255]
        palettes[model] = disc[:3]
        for view in range(VIEWS):
            center = (size - 1) / 2 + size / 4 * np.sin(np.radians(cameras[model, view, 0]))
            inside = (row - (size - 1) / 2) ** 2 + (column - center) ** 2 < (size / 4) ** 2
            images[model, view, :, inside] = disc
    records = tuple(record(f"thing {number}", held_out=number < 2) for number in range(models))
    return ViewSet(images, cameras, records, palettes)


def record(name: str, held_out: bool = False, category: str = "Office") -> ModelRecord:
    """A model whose captions tell its name and the order of its channels."""
    return ModelRecord(
        archive="Scopia",
        path=f"{name}.obj",
        name=name,
        noun=name.lower(),
        category=category,
        tags=(),
        creator="",
        licence="CC-BY-3.0",
        holder="Scopia",
        kind="other",
        asymmetric=False,
        color="red",
        second_color="",
        materials=(),
        faces=12,
        held_out=held_out,
        captions=tuple((f"{name} in order {order}", f"{name} order {order}") for order in range(6)),
    )


def bytes_as_words(texts: Sequence[str]) -> Tensor:
    """Token vectors [texts,32,128] that differ from text to text; the empty text is zeros."""
    table = torch.eye(256)[:, :128] + torch.eye(256)[:, 128:]
    padded = [text.encode()[:32].ljust(32, b"\0") for text in texts]
    rows = torch.tensor([list(line) for line in padded])
    return table[rows] * (rows > 0)[..., None]

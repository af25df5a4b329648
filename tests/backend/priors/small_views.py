"""A small set of rendered views, made up: coloured discs whose place follows the camera; the first two held out."""

from __future__ import annotations

import numpy as np
import torch
from maquette_backend.priors.starter.training.dataset import ModelRecord, ViewSet

VIEWS = 6


def small_views(models: int = 4, size: int = 16) -> ViewSet:
    random = np.random.default_rng(0)
    images = np.full((2, models, VIEWS, size, size, 3), 128, np.uint8)
    cameras = np.zeros((models, VIEWS, 3), np.float32)
    cameras[:, :, 0] = np.arange(VIEWS) * 360 / VIEWS
    cameras[:, :, 1:] = 20, 1.95
    row, column = np.mgrid[:size, :size]
    for model in range(models):
        color = random.integers(0, 255, 3)
        for view in range(VIEWS):
            center = (size - 1) / 2 + size / 4 * np.sin(np.radians(cameras[model, view, 0]))
            inside = (row - (size - 1) / 2) ** 2 + (column - center) ** 2 < (size / 4) ** 2
            images[0, model, view, inside] = color
            images[1, model, view, inside] = 200, 128, 230
    texts = torch.nn.functional.normalize(
        torch.randn(models, 6, 5, 384, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    records = tuple(record(f"thing {number}", held_out=number < 2) for number in range(models))
    return ViewSet(images, cameras, texts, records)


def record(name: str, held_out: bool = False, category: str = "Office") -> ModelRecord:
    return ModelRecord(
        archive="Scopia",
        path=f"{name}.obj",
        name=name,
        category=category,
        creator="",
        licence="CC-BY-3.0",
        holder="Scopia",
        color="red",
        wooden=False,
        faces=12,
        held_out=held_out,
        captions=("a",) * 5,
    )

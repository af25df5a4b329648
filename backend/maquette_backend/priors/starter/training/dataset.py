"""The rendered views on disk: what they are, and how they are written and read."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from maquette_backend.priors.starter.training.captions import plain_name

IMAGES_FILE = "images.npy"
_INDEX_FILE = "index.json"
_TEXT_FILE = "captions.safetensors"
_CAMERAS_FILE = "cameras.npy"
_FURNITURE = re.compile(
    r"chair|sofa|couch|seat|stool|bench|table|desk|bed\b|bed |cabinet|wardrobe|shel|bookcase|drawer|lamp|light|fridge|"
    r"refrigerator|chest|dresser|cupboard|toilet|sink|bath|oven|stove|washing"
)


@dataclass(frozen=True)
class ModelRecord:
    """What is known of one rendered model; a row of index.json."""

    archive: str
    path: str
    name: str
    category: str
    creator: str
    licence: str
    holder: str
    color: str
    wooden: bool
    faces: int
    held_out: bool
    captions: tuple[str, ...]
    """Five phrasings, colours as rendered."""


@dataclass(frozen=True)
class ViewSet:
    """All rendered views of M models, V views each, S×S pixels."""

    images: NDArray[np.uint8]
    """[2,M,V,S,S,3]: colour, then normals; usually mapped from disk."""
    cameras: NDArray[np.float32]
    """[M,V,3]: azimuth in degrees, elevation in degrees, distance."""
    texts: Tensor
    """[M,6,5,384]: sentence vectors by channel order and phrasing."""
    models: tuple[ModelRecord, ...]


def save_tables(folder: Path, cameras: NDArray[np.float32], texts: Tensor, models: tuple[ModelRecord, ...]) -> None:
    """Writes all but the images, which are written while they are rendered."""
    np.save(folder / _CAMERAS_FILE, cameras)
    save_file({"texts": texts.half().contiguous()}, folder / _TEXT_FILE)
    rows = [asdict(model) for model in models]
    (folder / _INDEX_FILE).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def load_views(folder: Path) -> ViewSet:
    """Reads what ``data`` wrote. Raises FileNotFoundError if it is not there, ValueError if its parts disagree."""
    if not (folder / _INDEX_FILE).exists():
        raise FileNotFoundError(f"No rendered views in {folder}. Make them with `make prior-data`.")
    rows = json.loads((folder / _INDEX_FILE).read_text(encoding="utf-8"))
    models = tuple(ModelRecord(**{**row, "captions": tuple(row["captions"])}) for row in rows)
    images = np.load(folder / IMAGES_FILE, mmap_mode="r", allow_pickle=False)
    cameras = np.load(folder / _CAMERAS_FILE, allow_pickle=False)
    texts = load_file(folder / _TEXT_FILE)["texts"].float()
    if not images.shape[1] == len(cameras) == len(texts) == len(models):
        raise ValueError(f"The parts of {folder} do not belong together; delete it and render again.")
    return ViewSet(images, cameras, texts, models)


def sampling_weight(model: ModelRecord) -> float:
    """How often training draws a model, relative to any odd thing: furniture often, doors and stairs seldom."""
    if model.category not in ("Doors and windows", "Vehicles") and _FURNITURE.search(plain_name(model.name)):
        return 6.0
    return 0.4 if model.category in ("Doors and windows", "Staircases") else 1.0


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 [B,S,S,3] → float32 [B,3,S,S] in −1..1, channels last in memory."""
    values = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return values.contiguous(memory_format=torch.channels_last)

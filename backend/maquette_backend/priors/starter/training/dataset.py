"""The rendered views on disk: what they are, and how they are written and read."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.priors.starter.training.kinds import KINDS
from maquette_backend.priors.starter.training.measuring import MaterialShare, Measures

CHANNELS = 7
"""Colour RGB, camera-space normal xyz, coverage."""
STRETCH_EVERY = 2
"""Of so many views in a row the first shows the model as it was made; the others are stretched, each in its own way."""
IMAGES_FILE = "images.npy"
_INDEX_FILE = "index.json"
_CAMERAS_FILE = "cameras.npy"
_STRETCHES_FILE = "stretches.npy"
_PALETTES_FILE = "palettes.npy"
_MEASURES_FILE = "measures.json"
_FURNITURE = frozenset(KINDS) - {"appliance", "decoration", "door"}


@dataclass(frozen=True)
class ModelRecord:
    """What is known of one rendered model; a row of index.json."""

    archive: str
    path: str
    name: str
    """As its catalogue has it."""
    noun: str
    """The name cleaned: what the captions call it."""
    category: str
    tags: tuple[str, ...]
    creator: str
    licence: str
    holder: str
    kind: str
    """One of ``kinds.KINDS`` or "other"."""
    asymmetric: bool
    """Its front differs plainly from its back and sides."""
    color: str
    second_color: str
    """Empty where none covers enough."""
    materials: tuple[str, ...]
    """Words such as "oak" or "metal", the most visible first."""
    faces: int
    held_out: bool
    captions: tuple[tuple[str, ...], ...]
    """[6][P]: phrasings by channel order; P differs from model to model and from order to order."""


@dataclass(frozen=True)
class ViewSet:
    """All rendered views of M models, V views each, S×S pixels."""

    images: NDArray[np.uint8]
    """[M,V,7,S,S]: colour RGB on mid grey, camera-space normal xyz as 127.5 + 127.5·n on 128, coverage 0..255;
    usually mapped from disk."""
    cameras: NDArray[np.float32]
    """[M,V,4]: azimuth and elevation in degrees, distance in longest sides, vertical field of view in degrees."""
    models: tuple[ModelRecord, ...]
    palettes: NDArray[np.uint8]
    """[M,P,3]: unshaded colours as seen from all sides."""


@dataclass(frozen=True)
class Rendered:
    """What is measured beside the pictures, for the words."""

    stretches: NDArray[np.float32]
    """[M,V,3]: by what each view's mesh was stretched along x, y and z; ones for a model as it was made."""
    palettes: NDArray[np.uint8]
    """[M,P,3]: unshaded colours as seen from all sides."""
    measures: tuple[Measures, ...]
    paths: tuple[tuple[str, str], ...]
    """Archive and path of each model."""


def save_rendered(folder: Path, cameras: NDArray[np.float32], rendered: Rendered) -> None:
    """Writes all that rendering makes but the images, which are written while they are rendered."""
    np.save(folder / _CAMERAS_FILE, cameras)
    np.save(folder / _STRETCHES_FILE, rendered.stretches)
    np.save(folder / _PALETTES_FILE, rendered.palettes)
    pairs = zip(rendered.paths, rendered.measures, strict=True)
    _write(folder / _MEASURES_FILE, [{"archive": a, "path": p, **asdict(measures)} for (a, p), measures in pairs])


def load_rendered(folder: Path) -> Rendered:
    """Reads what ``save_rendered`` wrote."""
    rows = json.loads((folder / _MEASURES_FILE).read_text(encoding="utf-8"))
    return Rendered(
        stretches=np.load(folder / _STRETCHES_FILE, allow_pickle=False),
        palettes=np.load(folder / _PALETTES_FILE, allow_pickle=False),
        paths=tuple((row.pop("archive"), row.pop("path")) for row in rows),
        measures=tuple(_measures(row) for row in rows),
    )


def save_index(folder: Path, models: Sequence[ModelRecord]) -> None:
    """Writes index.json, whole or not at all."""
    _write(folder / _INDEX_FILE, [asdict(model) for model in models])


def load_views(folder: Path) -> ViewSet:
    """Reads what ``data`` wrote. Raises FileNotFoundError if it is not there, ValueError if its parts disagree."""
    if not (folder / _INDEX_FILE).exists():
        raise FileNotFoundError(f"No rendered views in {folder}. Make them with `make prior-data`.")
    rows = json.loads((folder / _INDEX_FILE).read_text(encoding="utf-8"))
    images = np.load(folder / IMAGES_FILE, mmap_mode="r", allow_pickle=False)
    cameras = np.load(folder / _CAMERAS_FILE, allow_pickle=False)
    palettes = np.load(folder / _PALETTES_FILE, allow_pickle=False)
    parts_agree = images.shape[:2] == cameras.shape[:2] and len(images) == len(rows) == len(palettes)
    if not parts_agree or images.shape[2] != CHANNELS or cameras.shape[2] != 4:
        raise ValueError(f"The parts of {folder} do not belong together; delete it and render again.")
    return ViewSet(images, cameras, tuple(_record(row) for row in rows), palettes)


def sampling_weights(models: Sequence[ModelRecord]) -> NDArray[np.float64]:
    """How often training draws each model, [M], relative to any odd thing: furniture often, doors and stairs seldom.

    Kinds count by the square root of their models: a bookcase of eight is seen more often than a chair of forty, so
    that the kind is learned, and not so much more often that each bookcase is learned by heart.
    """
    sizes = Counter(model.kind for model in models)
    return np.array([_weight(model, sizes[model.kind]) for model in models])


def _weight(model: ModelRecord, of_its_kind: int) -> float:
    if model.kind in _FURNITURE:
        return 30.0 / math.sqrt(of_its_kind)
    if model.kind == "appliance":
        return 3.0
    return 0.4 if model.category in ("Doors and windows", "Staircases") else 1.0


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 [B,C,S,S] → float32 [B,C,S,S] in −1..1, channels last in memory."""
    values = torch.from_numpy(np.ascontiguousarray(pictures)).float() / 127.5 - 1
    return values.contiguous(memory_format=torch.channels_last)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _record(row: dict[str, Any]) -> ModelRecord:
    captions = tuple(tuple(phrasings) for phrasings in row["captions"])
    listed = {"tags": tuple(row["tags"]), "materials": tuple(row["materials"]), "captions": captions}
    return ModelRecord(**{**row, **listed})


def _measures(row: dict[str, Any]) -> Measures:
    materials = tuple(MaterialShare(m["name"], m["share"], tuple(m["rgb"])) for m in row["materials"])
    listed = {"extent": tuple(row["extent"]), "materials": materials, "parts": tuple(row["parts"])}
    return Measures(**{**row, **listed})

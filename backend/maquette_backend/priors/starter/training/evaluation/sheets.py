"""Sheets to look at: samples by kind, by colour and from four sides, and what refinement did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.evaluation.asking import COLORS, Asked
from maquette_backend.priors.starter.training.evaluation.distillation import Colored, Reshaped
from maquette_backend.priors.starter.training.evaluation.judges import KINDS, SIDE_NAMES

_TILE, _GAP, _MARK, _LABEL, _HEAD = 64, 3, 3, 130, 20
_RIGHT, _WRONG, _BACK, _INK = (70, 170, 80), (210, 60, 50), (250, 250, 250), (30, 30, 30)
_PER_KIND = 16
Tile = tuple[Tensor, bool | None]
"""A picture [3,64,64] in −1..1, and whether it was judged right (None: not judged)."""


def kinds_sheet(path: Path, samples: Tensor, asked: Sequence[Asked], right: Mapping[int, bool]) -> None:
    """A row per kind, the first sixteen samples of it; green below: the judge agrees."""
    rows = []
    for kind, name in enumerate(KINDS):
        members = [number for number, one in enumerate(asked) if one.kind == kind][:_PER_KIND]
        rows.append((name, [(_color(samples[number]), right[number]) for number in members]))
    save_grid(path, rows, ())


def colors_sheet(path: Path, samples: Tensor, asked: Sequence[Asked], right: Mapping[int, bool]) -> None:
    """A row per colour, a column per kind; green below: the measured word is the asked one."""
    rows = []
    for word in COLORS:
        first = {one.kind: number for number, one in reversed(list(enumerate(asked))) if one.color == word}
        rows.append((word, [(_color(samples[number]), right[number]) for _, number in sorted(first.items())]))
    save_grid(path, rows, KINDS)


def sides_sheet(path: Path, samples: Tensor, asked: Sequence[Asked], right: Mapping[int, bool], kinds: Sequence[str]) -> None:
    """A row per kind: two samples of each side, colour and normals; green below: the judge sees that side."""
    rows = []
    for name in kinds:
        tiles: list[Tile] = []
        for side in range(len(SIDE_NAMES)):
            members = [n for n, one in enumerate(asked) if KINDS[one.kind] == name and one.side == side][:2]
            for number in members:
                tiles += [(part, right.get(number)) for part in (_color(samples[number]), _normal(samples[number]))]
        rows.append((name, tiles))
    save_grid(path, rows, [name for side in SIDE_NAMES for name in (side, "", "", "")])


def colored_sheet(path: Path, results: Sequence[Colored]) -> None:
    """A row per held-out mesh: its eight unseen views after refinement; green below: the asked colour word."""
    rows = []
    for one in results:
        tiles = [(_color(shown), word == one.asked) for shown, word in zip(one.pictures, one.found, strict=True)]
        rows.append((one.prompt, tiles))
    save_grid(path, rows, ())


def reshaped_sheet(path: Path, results: Sequence[Reshaped]) -> None:
    """A row per coarse shape: two views of each state as normals; green below ``after``: better than all others."""
    columns = ("before", "after", "shrunk", "smooth", "wrong")
    rows = []
    for one in results:
        tiles: list[Tile] = []
        for name in columns:
            verdict = one.better if name == "after" else None
            tiles += [(_normal(one.pictures[name][view]), verdict) for view in (0, 7)]
        rows.append((one.name, tiles))
    save_grid(path, rows, [name for column in columns for name in (column, "")])


def save_grid(path: Path, rows: Sequence[tuple[str, Sequence[Tile]]], heads: Sequence[str]) -> None:
    """Rows of tiles with their labels, ``heads`` above the columns."""
    wide = max(len(tiles) for _, tiles in rows)
    step, tall = _TILE + _GAP, _TILE + _MARK + _GAP
    sheet = Image.new("RGB", (_LABEL + wide * step, _HEAD + len(rows) * tall), _BACK)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for column, head in enumerate(heads):
        draw.text((_LABEL + column * step, 4), head, fill=_INK, font=font)
    for row, (label, tiles) in enumerate(rows):
        top = _HEAD + row * tall
        draw.multiline_text((4, top + 14), _wrapped(label), fill=_INK, font=font)
        for column, (shown, verdict) in enumerate(tiles):
            left = _LABEL + column * step
            sheet.paste(_image(shown), (left, top))
            if verdict is not None:
                mark = (left, top + _TILE, left + _TILE - 1, top + _TILE + _MARK - 1)
                draw.rectangle(mark, fill=_RIGHT if verdict else _WRONG)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _image(shown: Tensor) -> Image.Image:
    values = ((shown.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(values.permute(1, 2, 0).numpy()))


def _color(sample: Tensor) -> Tensor:
    return sample[picture.COLOR]


def _normal(sample: Tensor) -> Tensor:
    return sample[picture.NORMAL]


def _wrapped(label: str) -> str:
    lines = [""]
    for word in label.split():
        if len(lines[-1]) + len(word) > 20:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:4])

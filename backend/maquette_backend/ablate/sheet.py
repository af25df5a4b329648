"""Pictures of results: one alone, and all of a comparison on one labelled sheet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from PIL import Image, ImageDraw
from torch import Tensor

SIDE = 192
"""Of one view in a picture of its own, pixels."""
_SMALL, _LABEL = 128, 120


def picture(seen: Tensor) -> Image.Image:
    """Views [8,7,64,64] in −1..1 → every other one, colour above and normals below, 768 × 384."""
    return _strip(seen[::2], SIDE)


def sheet(named: Mapping[str, Tensor]) -> Image.Image:
    """A line for each name: four views' colour, then their normals."""
    width = _LABEL + 8 * _SMALL
    whole = Image.new("RGB", (width, _SMALL * len(named)), "white")
    draw = ImageDraw.Draw(whole)
    for line, (name, seen) in enumerate(named.items()):
        strip = _strip(seen[::2], _SMALL)
        for half in range(2):
            part = strip.crop((0, half * _SMALL, 4 * _SMALL, (half + 1) * _SMALL))
            whole.paste(part, (_LABEL + half * 4 * _SMALL, line * _SMALL))
        draw.text((6, line * _SMALL + _SMALL // 2 - 5), name, fill="black")
    return whole


def _strip(seen: Tensor, side: int) -> Image.Image:
    rows = [torch.cat(list(seen[:, part]), 2) for part in (slice(0, 3), slice(3, 6))]
    image = ((torch.cat(rows, 1) + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0)
    return Image.fromarray(image.numpy()).resize((len(seen) * side, 2 * side), Image.Resampling.NEAREST)

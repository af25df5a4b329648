"""Words for pictures: colour names that are measured, not believed, and captions in five phrasings."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

CHANNEL_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
"""All orders of red, green and blue. Reordering a picture on mid grey gives a new, equally good one: only the
colour word has to be measured again."""
PHRASINGS = 5

_SWATCHES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("black", (25, 25, 25)),
    ("white", (235, 235, 235)),
    ("grey", (130, 130, 130)),
    ("brown", (110, 70, 40)),
    ("beige", (215, 190, 150)),
    ("red", (190, 30, 30)),
    ("orange", (230, 130, 30)),
    ("yellow", (235, 215, 60)),
    ("green", (60, 130, 50)),
    ("blue", (40, 80, 180)),
    ("purple", (110, 50, 130)),
    ("pink", (235, 140, 170)),
    ("brown", (70, 45, 30)),
    ("brown", (150, 100, 60)),
    ("brown", (175, 120, 70)),
    ("red", (130, 20, 25)),
    ("green", (110, 160, 80)),
    ("blue", (110, 150, 210)),
    ("blue", (30, 40, 90)),
    ("grey", (80, 80, 80)),
    ("grey", (180, 180, 180)),
    ("green", (35, 70, 30)),
)
_MOST_SAMPLES = 4000
_SHADED_WHITE = 0.82
"""Mean brightness that the renderer's light leaves of a white surface."""


def color_word(colors: NDArray[np.floating]) -> str:
    """The name of the commonest colour among [P,3] values 0..1: the swatch that is nearest most often."""
    samples = colors[:: max(1, len(colors) // _MOST_SAMPLES)] * 255
    swatches = np.array([rgb for _, rgb in _SWATCHES])
    nearest = ((samples[:, None] - swatches[None]) ** 2).sum(-1).argmin(1)
    votes: dict[str, int] = {}
    for index in nearest:
        word = _SWATCHES[index][0]
        votes[word] = votes.get(word, 0) + 1
    return max(votes, key=lambda word: votes[word])


def reordered_color_words(pictures: NDArray[np.uint8], measured: str) -> list[str]:
    """One colour word per channel order; ``measured`` (from the albedo) for the first.

    pictures [...,3] are shaded renders on mid grey; the background is left out, the shading roughly undone.
    """
    pixels = pictures.reshape(-1, 3)
    foreground = pixels[np.abs(pixels.astype(int) - 128).max(-1) > 3].astype(float) / 255 / _SHADED_WHITE
    words = [color_word(np.clip(foreground[:, order], 0, 1)) for order in CHANNEL_ORDERS[1:]]
    return [measured, *words]


def plain_name(name: str) -> str:
    """A catalogue name without brackets, punctuation and capitals."""
    return re.sub(r"[^a-z0-9 \-]", "", re.sub(r"\(.*?\)", "", name.lower())).strip()


def captions(name: str, category: str, color: str, wooden: bool) -> list[str]:
    """Five phrasings, from all that is known to the bare noun; training draws one per picture."""
    noun = plain_name(name)
    material = "wooden " if wooden and "wood" not in noun else ""
    last = noun.split(" ")[-1]
    head = last if last.isalpha() else noun
    full = _with_article(f"{color} {material}{noun}")
    return [
        full,
        _with_article(f"{color} {noun}"),
        _with_article(noun),
        _with_article(f"{color} {head}"),
        f"{full}, {category.lower()}",
    ]


def _with_article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words

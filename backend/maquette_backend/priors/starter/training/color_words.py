"""Colour names that are measured, not believed: by hue, saturation and value, the commonest wins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANNEL_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
"""All orders of red, green and blue. Reordering a picture on mid grey gives a new, equally good one: only the
colour words have to be measured again."""

COLORS = (
    "black", "white", "grey", "brown", "beige", "red", "orange", "yellow", "green", "blue", "purple", "pink",
)  # fmt: skip
_BLACK, _GREY_BLACK, _WHITE = 0.16, 0.22, 0.75
"""Values (the largest channel) below which any colour or a grey is black, and above which a grey is white."""
_GREY = 0.12
"""Saturation below which a colour is none."""
_MOST_SAMPLES = 4000
_SECOND_SHARE = 0.15
_DARK, _LIGHT = 75.0, 150.0
"""Mean brightness 0..255 of a colour below or above which it is called dark or light."""
_SHADES = {"brown", "red", "green", "blue", "grey", "purple"}
"""Colours that have dark and light kinds; dark yellow or light black are other colours."""


@dataclass(frozen=True)
class ColorWords:
    """What the colours of a thing are called."""

    main: str
    second: str
    """The next commonest colour if it covers more than 15 %, else empty."""
    shade: str
    """ "dark", "light" or empty: of the main colour, where it is plain."""


def color_word(colors: NDArray[np.floating]) -> str:
    """The name of the commonest colour among [P,3] values 0..1."""
    return color_words(colors).main


def color_words(colors: NDArray[np.floating]) -> ColorWords:
    """The names of the commonest colours among [P,3] values 0..1."""
    samples = colors[:: max(1, len(colors) // _MOST_SAMPLES)] * 255
    words = names_of(samples / 255)
    votes: dict[str, int] = {}
    for word in words.tolist():
        votes[word] = votes.get(word, 0) + 1
    ranked = sorted(votes, key=lambda word: -votes[word])
    second = ranked[1] if len(ranked) > 1 and votes[ranked[1]] > _SECOND_SHARE * len(samples) else ""
    return ColorWords(ranked[0], second, _shade(ranked[0], samples[words == ranked[0]]))


def names_of(colors: NDArray[np.floating]) -> NDArray[np.str_]:
    """One of ``COLORS`` for each of [P,3] sRGB values 0..1.

    The borders of hue, in degrees, saturation and value are those of everyday speech: a dark orange is called
    brown, a pale one beige, a pale red pink.
    """
    high, low = colors.max(1), colors.min(1)
    chroma = high - low
    saturation = chroma / np.maximum(high, 1e-9)
    hue = _hue_deg(colors, high, chroma)
    is_warm = (hue >= 12) & (hue < 62)
    conditions = [
        (high < _BLACK) | ((saturation < _GREY) & (high < _GREY_BLACK)),
        (saturation < _GREY) & (high > _WHITE),
        (saturation < _GREY) | ((saturation < 0.2) & (high < 0.6)),
        is_warm & (saturation < 0.2) & (high > 0.88),
        is_warm & (saturation < 0.45) & (high > 0.6),
        is_warm & (high < 0.78) & ((hue < 48) | (saturation < 0.6)),
        ((hue >= 330) | (hue < 12)) & (saturation < 0.55) & (high > 0.6),
        ((hue >= 330) | (hue < 12)) & (saturation < 0.5),
        (hue < 12) | (hue >= 345),
        hue < 40,
        hue < 66,
        hue < 168,
        hue < 255,
        hue < 300,
        (hue < 345) & (high < 0.5),
    ]
    names = [
        "black", "white", "grey", "white", "beige", "brown", "pink", "brown", "red",
        "orange", "yellow", "green", "blue", "purple", "purple",
    ]  # fmt: skip
    return np.select(conditions, names, "pink")


def _hue_deg(
    colors: NDArray[np.floating], high: NDArray[np.floating], chroma: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Hue 0..360 of [P,3] values: red 0, green 120, blue 240."""
    red, green, blue = colors.T
    divisor = np.maximum(chroma, 1e-9)
    by_red, by_green, by_blue = (green - blue) / divisor % 6, (blue - red) / divisor + 2, (red - green) / divisor + 4
    return 60 * np.select([high == red, high == green], [by_red, by_green], by_blue)


def _shade(word: str, samples: NDArray[np.floating]) -> str:
    if word not in _SHADES:
        return ""
    # as bright as the eye sees it: ITU-R BT.601, 3.5.1
    brightness = float((samples @ np.array([0.299, 0.587, 0.114])).mean())
    return "dark" if brightness < _DARK else "light" if brightness > _LIGHT else ""

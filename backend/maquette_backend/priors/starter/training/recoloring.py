"""New colours for rendered models: what is mainly one colour becomes another, light and the other colours stay.

Furniture is white, grey and brown; of purple, pink and orange things a catalogue has hardly any. A picture whose main
colour is exchanged teaches the rare words as often as the common ones, and its words are measured again, not believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.captions import plain_wordings
from maquette_backend.priors.starter.training.color_words import COLORS, color_words, names_of

BACKGROUND = 128 / 255
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, 3.5.1
_SAME_HUE = 0.06
"""Distance of r/(r+g+b) and so on within which a colour counts as the main one's: oak's grain does, its metal legs don't."""
_BRIGHTER = 1.35
"""A part this much brighter than the main colour is another thing: white paint on black iron."""
_LEAST_COVERED = 0.05
_SWATCHES = 60_000


@dataclass(frozen=True)
class Recoloring:
    """Exchanges one colour for another; both [3] in 0..1."""

    main: Tensor
    wanted: Tensor

    def __call__(self, colors: Tensor) -> Tensor:
        """Colours [...,3] in 0..1, shaded or not: those like the main one in the wanted one, as bright beside it as
        they were; the others as they were."""
        weights = colors.new_tensor(_LUMINANCE)
        brightness = (colors @ weights) / (self.main @ weights).clamp(min=0.02)
        away = (_chroma(colors) - _chroma(self.main)).square().sum(-1)
        excess = (brightness / _BRIGHTER).clamp(min=1).log()
        like_main = (-away / _SAME_HUE**2 - (excess / 0.35).square()).exp()[..., None]
        return colors + like_main * ((self.wanted * brightness[..., None]).clamp(0, 1) - colors)


def draw_recoloring(palette: NDArray[np.uint8], random: np.random.Generator) -> Recoloring:
    """The main colour of ``palette`` [P,3] for one of another name, every name as likely as any other."""
    values = palette.astype(np.float64) / 255
    names = names_of(values)
    main = color_words(values).main
    wanted = swatches()[COLORS[int(random.integers(len(COLORS)))]]
    color = wanted[int(random.integers(len(wanted)))]
    return Recoloring(
        torch.from_numpy(np.median(values[names == main], axis=0)).float(), torch.from_numpy(color).float()
    )


def recolored_caption(
    noun: str, palette: NDArray[np.uint8], recoloring: Recoloring, random: np.random.Generator
) -> str:
    """One phrasing of the noun in the colours that ``palette`` [P,3] has afterwards."""
    after = recoloring(torch.from_numpy(palette).float() / 255).double().numpy()
    wordings = plain_wordings(noun, color_words(after))
    return wordings[int(random.integers(len(wordings)))]


def recolor_picture(shown: Tensor, recoloring: Recoloring) -> Tensor:
    """A picture [7,S,S] in −1..1 with its thing in the new colour and its background as it was."""
    covered = (shown[picture.COVERAGE] + 1) / 2  # [1,S,S]
    color = (shown[picture.COLOR] + 1) / 2
    thing = ((color - (1 - covered) * BACKGROUND) / covered.clamp(min=_LEAST_COVERED)).clamp(0, 1)
    changed = recoloring(thing.permute(1, 2, 0)).permute(2, 0, 1)
    blended = covered * changed + (1 - covered) * BACKGROUND
    return torch.cat([torch.where(covered > _LEAST_COVERED, blended, color) * 2 - 1, shown[picture.GEOMETRY]])


@cache
def swatches() -> dict[str, NDArray[np.float64]]:
    """Colours [K,3] of every name, evenly spread over what is called so."""
    values = np.random.default_rng(0).random((_SWATCHES, 3))
    names = names_of(values)
    return {name: values[names == name] for name in COLORS}


def _chroma(colors: Tensor) -> Tensor:
    return colors / colors.sum(-1, keepdim=True).clamp(min=0.03)

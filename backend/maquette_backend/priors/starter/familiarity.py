"""How well the starter prior knows what a prompt asks for: by the nearest of the things it was shown.

The prior's own text encoder measures: what it takes for the same, the network cannot tell apart either. Colours,
materials and details are left out first, because a red dragon is as near to a red chair as a chair is to a sofa.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maquette_protocol.errors import ErrorCode, MaquetteError
from torch import Tensor

from maquette_backend.priors.prior import Familiarity

KNOWN_FILE = "known.txt"
MAX_KNOWN_BYTES = 256 << 10
"""Of the list; the shipped one has some 12 kB."""
Encode = Callable[[Sequence[str]], Tensor]
"""Texts → unit vectors [texts,C]."""

_COLORS = (
    "black white grey gray brown beige red orange yellow green blue purple pink cream ivory tan navy teal turquoise "
    "maroon burgundy crimson scarlet gold golden silver copper charcoal olive lavender violet magenta dark light pale "
    "bright pastel colourful colorful multicoloured multicolored"
)
_MATERIALS = (
    "wooden wood oak walnut pine teak mahogany cherry birch maple beech ash ebony rattan wicker metal metallic steel "
    "iron brass bronze aluminium aluminum chrome glass marble stone granite concrete ceramic porcelain terracotta "
    "plastic leather velvet linen cotton wool silk fabric upholstered lacquered painted"
)
_FILLERS = "a an the some my this that one two three four very old new antique vintage modern small large big tall"
_LEFT_OUT = frozenset(f"{_COLORS} {_MATERIALS} {_FILLERS}".split())
_OPENING = re.compile(r"^.*?\b(?:photo|photograph|picture|image|render|rendering|3d model|model) of ")
"""What prompts for score distillation begin with."""
_CLAUSE_END = re.compile(r"[,.;:!?()\n]")
_DETAIL = re.compile(r"\b(?:with|in|on|for|made|upholstered|shaped|covered|by|like|from|at|under|over|and)\b")
"""Words after which the thing itself has been named."""


@dataclass(frozen=True)
class Bounds:
    """Cosines from which a thing counts as near and as known; each encoder has its own."""

    near: float
    known: float


class KnownThings:
    """The things that a prior was shown, and how near a text is to them."""

    def __init__(self, names: Sequence[str], encode: Encode, bounds: Bounds) -> None:
        """``names``: at least one. They are encoded when the first text is judged."""
        self._names = tuple(names)
        self._encode = encode
        self._bounds = bounds
        self._vectors: Tensor | None = None

    def judge(self, text: str) -> Familiarity:
        """The nearest thing and how near it is; a text that is not in Latin letters is near to nothing."""
        if not is_readable(text):
            return Familiarity("", 0.0, "unknown")
        if self._vectors is None:
            self._vectors = self._encode(self._names)
        similarity, index = (self._encode([thing_named(text)])[0] @ self._vectors.T).max(0)
        cosine = min(max(similarity.item(), 0.0), 1.0)
        nearest = self._names[int(index)]
        if cosine >= self._bounds.known:
            return Familiarity(nearest, cosine, "known")
        return Familiarity(nearest, cosine, "near" if cosine >= self._bounds.near else "unknown")


def thing_named(text: str) -> str:
    """What a prompt asks for, bare: "a red leather armchair with brass studs, front view" gives "armchair"."""
    lowered = " ".join(text.lower().split())
    clause = next(filter(str.strip, _CLAUSE_END.split(_OPENING.sub("", lowered))), lowered)
    words = _DETAIL.split(clause)[0].split() or clause.split()
    # the last word is the thing itself: "a wine glass", "an orange"
    return " ".join([*(word for word in words[:-1] if word not in _LEFT_OUT), *words[-1:]])


def is_readable(text: str) -> bool:
    """Whether most letters are Latin ones, accents aside: the encoder has seen English only."""
    letters = [char for char in unicodedata.normalize("NFKD", text) if char.isalpha()]
    return 2 * sum(char.isascii() for char in letters) > len(letters)


def save_known(folder: Path, names: Iterable[str]) -> None:
    """Writes the list beside a prior's weights: a name a line, sorted, none twice."""
    lines = sorted({name.strip() for name in names if name.strip()})
    (folder / KNOWN_FILE).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def load_known(folder: Path) -> tuple[str, ...]:
    """The names in a prior's folder; none if it has no list. Raises MaquetteError INTERNAL if it can't be read."""
    path = folder / KNOWN_FILE
    if not path.exists():
        return ()
    try:
        size = path.stat().st_size
        if size > MAX_KNOWN_BYTES:
            raise ValueError(f"it holds {size} bytes, more than {MAX_KNOWN_BYTES}")
        return tuple(filter(None, path.read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError) as error:
        text = f"The list {path} of what the starter prior knows can't be read: {error}."
        raise MaquetteError(ErrorCode.INTERNAL, text, "Reinstall the maquette package.") from error

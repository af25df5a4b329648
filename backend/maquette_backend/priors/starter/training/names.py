"""Catalogue names made plain: no numbers, brands and slips of translation, and what else one would say for them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from maquette_backend.priors.starter.training.catalogue_names import PLAIN_NOUNS

_MATERIAL_NAMES = {
    "alder": "alder",
    "burlap": "burlap",
    "cardboard": "cardboard",
    "concrete": "concrete",
    "glass": "glass",
    "iron": "iron",
    "oak": "oak",
    "plastic": "plastic",
    "rattan": "rattan",
    "stone": "stone",
    "teak": "teak",
    "teck": "teak",
    "wood": "wooden",
    "wooden": "wooden",
}
_WORD_FOR_WORD = {
    "armoire": "wardrobe",
    "bureau": "desk",
    "canapé": "sofa",
    "chaise": "chair",
    "fauteuil": "armchair",
    "lampe": "lamp",
    "lit": "bed",
    "sedia": "chair",
    "tavolo": "table",
    "trashcan": "trash can",
    "coathanger": "coat hanger",
    "dustbin": "trash can",
}
_SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("sofa", "couch", "settee"),
    ("wardrobe", "closet", "armoire"),
    ("cabinet", "cupboard"),
    ("lamp", "light"),
    ("tv", "television"),
    ("fridge", "refrigerator"),
    ("bookcase", "bookshelf"),
    ("shelf unit", "shelf", "bookcase"),
    ("bathtub", "bath", "tub"),
    ("washbasin", "sink", "basin"),
    ("bedside table", "nightstand"),
    ("armchair", "easy chair"),
    ("crib", "baby bed", "cot"),
    ("trash can", "bin", "dustbin"),
    ("stove", "cooker"),
    ("dresser", "chest of drawers"),
    ("drawer cabinet", "chest of drawers"),
    ("trunk", "chest"),
    ("pouf", "ottoman", "footstool"),
    ("carpet", "rug"),
    ("car", "automobile"),
    ("motorbike", "motorcycle"),
    ("bicycle", "bike"),
    ("telephone", "phone"),
    ("deck chair", "folding lounge chair"),
    ("sun lounger", "lounge chair"),
    ("vanity", "bathroom sink cabinet"),
    ("desk", "writing table"),
    ("coffee table", "low table"),
    ("stool", "backless seat"),
    ("toilet", "lavatory"),
    ("mailbox", "letter box"),
    ("hob", "cooktop"),
    ("couch", "sofa", "settee"),
)
_PATTERNS = (
    (r"^(?:rounded|square|wall) type \w plug$", "wall socket"),
    (r"^(?:rounded|square|wall) rj45 plug$", "network socket"),
    (r"^(?:rounded|square|wall) antenna plug$", "antenna socket"),
    (r"^(?:rounded|square|wall) (dimmer |double )?switch$", r"\1light switch"),
    (r"^parking slot.*", "parking slot"),
)
_HEAD_ENDS = re.compile(r" (?:with|in|on|of|and|under) |, ")
_SINGULAR_S = ("glass", "cactus", "bus", "cypress", "press", "mattress", "dress", "lens", "house", "chess")


def plain_name(name: str) -> str:
    """A catalogue name without brackets, punctuation and capitals."""
    return re.sub(r"[^a-z0-9 \-]", "", re.sub(r"\(.*?\)", "", name.lower())).strip()


def clean_noun(name: str) -> tuple[str, tuple[str, ...]]:
    """What to call a model, and the materials that its name told: "Wooden desk" is ("desk", ("wooden",)).

    Materials are apart because a picture with its colours reordered shows a desk, but no wooden one.
    """
    words = re.sub(r" +", " ", re.sub(r"(?<= )-(?= )", "", plain_name(name)))
    words = PLAIN_NOUNS.get(words, words)
    for pattern, plain in _PATTERNS:
        words = re.sub(pattern, plain, words)
    words = " ".join(_WORD_FOR_WORD.get(word, word) for word in re.sub(r"\b\d+\b", "", words).split())
    materials: list[str] = []
    first, _, rest = words.partition(" ")
    while rest and first in _MATERIAL_NAMES and not rest.startswith(("with ", "of ")):
        materials.append(_MATERIAL_NAMES[first])
        first, _, rest = rest.partition(" ")
    return f"{first} {rest}".strip(), tuple(materials)


def head_of(noun: str) -> str:
    """The noun without what hangs on it: "bookcase with books" is a bookcase."""
    return _HEAD_ENDS.split(noun, maxsplit=1)[0]


def synonyms(noun: str) -> list[str]:
    """Other words for the same thing: "corner sofa" gives "corner couch" and "corner settee"."""
    head = head_of(noun)
    for group in sorted(_SYNONYMS, key=lambda words: -len(words[0])):
        for word in group:
            if head == word or head.endswith(f" {word}"):
                return [head[: len(head) - len(word)] + other + noun[len(head) :] for other in group if other != word]
    return []


def is_plural(noun: str) -> bool:
    head = head_of(noun)
    return head.endswith("s") and not head.endswith(_SINGULAR_S)


def with_article(words: str, noun: str) -> str:
    """ "a chair", "an oak chair", "a urinal", but "black headphones"; ``noun`` decides, ``words`` holds it."""
    if is_plural(noun):
        return words
    vowel = words[0] in "aeiou" and not words.startswith(("uni", "uri", "ute", "uti", "use", "one"))
    return ("an " if vowel or words.startswith("hour") else "a ") + words


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""

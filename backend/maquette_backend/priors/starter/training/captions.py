"""Captions: many phrasings of what is known of a model, from all of it to the bare noun."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maquette_backend.priors.starter.training.color_words import CHANNEL_ORDERS, ColorWords, color_word
from maquette_backend.priors.starter.training.material_words import (
    GOES_WITHOUT_SAYING,
    IMPLY_COLOR,
    Part,
    material_noun,
)
from maquette_backend.priors.starter.training.names import (
    head_of,
    listed,
    plain_name,
    synonyms,
    with_article,
)

__all__ = ["CHANNEL_ORDERS", "Facts", "captions", "plain_name", "plain_wordings"]

LEAST_PHRASINGS, MOST_PHRASINGS = 6, 14
_PLACES = {"Kitchen": "kitchen", "Bathroom": "bathroom", "Bedroom": "bedroom", "Office": "office", "Exterior": "garden"}
_PLACED_KINDS = frozenset({"chair", "armchair", "sofa", "stool", "table", "cabinet", "shelf", "lamp"})
_TAG_WORDS = {"Dining": "dining", "Pendant": "hanging", "Japanese": "japanese", "Toy": "toy", "Kid": "children's"}
_MOSTLY = 0.45
_AS_PLURAL = ("cushions", "armrests", "legs", "wheels", "pillows", "drawers", "doors", "flowers", "books")


@dataclass(frozen=True)
class Facts:
    """What is known of a model that was not stretched."""

    noun: str
    kind: str
    category: str
    tags: tuple[str, ...]
    materials: tuple[tuple[str, float], ...]
    """Words and shares of what shows, the most visible first."""
    parts: tuple[Part, ...]
    proportion: str
    """ "tall", "low" and so on, or empty."""


def captions(facts: Facts, colors: ColorWords, order: int) -> tuple[str, ...]:
    """6 to 14 phrasings for a model seen in the colours named, its channels in ``CHANNEL_ORDERS[order]``.

    The first says all that is known, the last is the bare noun; informative ones are the majority.
    """
    if facts.category == "Characters" and "Human" in facts.tags:
        return _person(facts.noun, colors)
    bare = _article(Wording(facts.noun))
    told = [_article(words) for words in _wanted(facts, colors, order) if words]
    distinct = [phrase for phrase in dict.fromkeys(told) if phrase != bare]
    fillers = (_article(words) for words in _fillers(facts.noun, colors.main))
    missing = max(0, LEAST_PHRASINGS - 1 - len(distinct))
    return (*distinct[: MOST_PHRASINGS - 1], *list(fillers)[:missing], bare)


def plain_wordings(noun: str, colors: ColorWords) -> tuple[str, ...]:
    """Phrasings of a noun and its colours alone, for a thing of which nothing else is sure; the plainest twice."""
    color, head = colors.main, head_of(noun).split(" ")[-1]
    wordings = [
        Wording(noun, (color,)),
        Wording(noun, (color,)),
        Wording(head, (color,)),
        Wording(noun, (), f"in {color}"),
        *(Wording(other, (color,)) for other in synonyms(noun)[:2]),
        *([Wording(noun, (colors.shade, color))] if colors.shade else []),
        *([Wording(noun, (f"{color} and {colors.second}",))] if colors.second else []),
    ]
    return tuple(_article(wording) for wording in wordings)


@dataclass(frozen=True)
class Wording:
    """A noun, what stands before it and what comes after it."""

    noun: str
    before: tuple[str, ...] = ()
    after: str = ""


def _article(wording: Wording) -> str:
    words = " ".join(filter(None, [*wording.before, wording.noun, wording.after]))
    return with_article(words, wording.noun)


def _wanted(facts: Facts, colors: ColorWords, order: int) -> list[Wording | None]:
    """All phrasings but the bare noun, the best first; None where too little is known for one."""
    noun, color = facts.noun, colors.main
    shares = [(m, share) for m, share in facts.materials if order == 0 or m not in IMPLY_COLOR]
    materials = [m for m, _ in shares if material_noun(m) not in noun]
    # "a blue chrome chair" is wrong where blue is the seat and chrome the legs: only what shows most is an adjective
    material = next((m for m, share in shares[:1] if share >= _MOSTLY and m in materials), "")
    parts = _part_phrases(facts, color, order)
    joint = "and" if " with " in noun else "with"
    others = synonyms(noun)
    head = head_of(noun).split(" ")[-1]
    setting = _setting(facts)
    return [
        Wording(noun, (facts.proportion, color, material), f"{joint} {listed(parts[:2])}" if parts else ""),
        Wording(noun, (color, material)) if material else None,
        Wording(noun, (f"{color} and {colors.second}",)) if colors.second else None,
        *(Wording(noun, (color,), f"{joint} {part}") for part in parts[:2]),
        *(Wording(other, (color, material if number else "")) for number, other in enumerate(others[:2])),
        Wording(noun, (colors.shade, color)) if colors.shade else None,
        Wording(noun, (facts.proportion, color)) if facts.proportion else None,
        Wording(noun, (color,), f"made of {listed([material_noun(m) for m in materials])}") if materials else None,
        Wording(noun, (color, setting)) if setting else None,
        Wording(noun, (color,)),
        Wording(head, (color,)),
        Wording(noun, (material,)) if material else None,
        Wording(noun, (), f"in {color}"),
    ]


def _fillers(noun: str, color: str) -> list[Wording]:
    """Turns of phrase that add no fact, for models of which little is known."""
    return [
        Wording(noun, (f"{color}-coloured",)),
        Wording(noun, (f"mostly {color}",)),
        Wording(noun, (), f"of {color} colour"),
    ]


def _part_phrases(facts: Facts, main: str, order: int) -> list[str]:
    """ "a red seat", "drawers": with a colour where it is another than that of the whole."""
    phrases = []
    for part in facts.parts:
        if part.word.rstrip("s") in facts.noun:
            continue
        color = ""
        if part.rgb is not None:
            color = color_word(np.array([part.rgb])[:, CHANNEL_ORDERS[order]] / 255)
        if part.word in GOES_WITHOUT_SAYING and color in ("", main):
            continue
        words = f"{color} {part.word}" if color and color != main else part.word
        phrases.append(words if part.word in _AS_PLURAL else with_article(words, part.word))
    return phrases


def _setting(facts: Facts) -> str:
    """Where or for whom it is: "kitchen", "dining", or empty where that is said already or goes without saying."""
    words = [word for tag, word in _TAG_WORDS.items() if tag in facts.tags]
    if facts.kind in _PLACED_KINDS and facts.category in _PLACES:
        words.append(_PLACES[facts.category])
    return next((word for word in words if word.removesuffix("ren's") not in facts.noun), "")


def _person(noun: str, colors: ColorWords) -> tuple[str, ...]:
    """Of people only what they wear has a colour that one would name."""
    last = noun.split(" ")[-1]
    clothes = f"{colors.main} and {colors.second}" if colors.second else colors.main
    wordings = [
        Wording(noun, (), f"in {clothes} clothes"),
        Wording(last, (), f"in {colors.main} clothes"),
        Wording("figure", (), f"of {with_article(noun, noun)}"),
        Wording("person", (), f"in {clothes} clothes"),
        Wording("person", (), f"dressed in {clothes}"),
        Wording("human figure", (), f"in {colors.main} clothes"),
        Wording(noun, (), f"dressed in {clothes}"),
        Wording("person"),
        Wording(noun),
    ]
    return tuple(dict.fromkeys(_article(wording) for wording in wordings))

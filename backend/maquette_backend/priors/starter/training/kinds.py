"""What kind of furnishing a model is, and whether its front differs plainly from its other sides."""

from __future__ import annotations

import re
from collections.abc import Sequence

from maquette_backend.priors.starter.training.measuring import Measures
from maquette_backend.priors.starter.training.names import head_of

_RULES: tuple[tuple[str, str], ...] = (
    (
        "other",
        r"wheelchair|bat$|racket|exercise|mattress|sleeping bag|hammock|doll|dog house|playhouse|doorbell|light switch"
        r"|child swing|porch column|bread box|toilet paper|toilet brush|table grill|elevator button",
    ),
    ("armchair", r"armchair|easy chair"),
    ("sofa", r"sofa$|couch$|settee"),
    ("table", r"workbench"),
    ("stool", r"stool|bench$|ottoman|pouf"),
    ("appliance", r"freezer|fan$"),
    ("cabinet", r"bedside table|vanity table|kitchen island|kitchen counter|tv stand|wall unit"),
    ("lamp", r"lamp|light$|lights$|lantern|chandelier|spotlight|flashlight"),
    ("plant", r"plant|tree|cactus|bamboo|hedge|bush|flowers$|tulips|lilies|flower box|blossom"),
    ("desk", r"desk$"),
    ("chair", r"chair$|lounger"),
    ("table", r"table$"),
    ("bed", r"bed$|crib"),
    ("sanitary", r"sink$|washbasin|vanity|toilet$|bathtub|bath$|bidet|urinal|shower stall|hot tub|lavatory"),
    ("shelf", r"bookcase|shelf"),
    ("cabinet", r"cabinet|wardrobe|cupboard|dresser|^chest$|locker|safe$|trunk$"),
    (
        "appliance",
        r"oven|stove|cooker|fridge|refrigerator|washing machine|dryer|microwave|dishwasher|television|range hood|hob$"
        r"|cooktop|heater|conditioner|radiator|coffee maker|coffee machine|coffee brewer|toaster|blender|stand mixer"
        r"|fryer|printer|kettle|stereo|speaker|projector|sandwich maker|water cooler|furnace|radio$|dvd player|dishwasher",
    ),
    ("door", r"door|window|shutter|blind$|elevator"),
    ("decoration", r"vase|pottery|candle|picture frame|figurine|clock$|jar$|fountain|snowman|sculpture|bowl of"),
)
"""The first rule whose pattern is found in the noun's head decides; no rule: "other"."""
KINDS = tuple(sorted({kind for kind, _ in _RULES} - {"other"}))

_FRONTED = ("armchair", "bed", "cabinet", "chair", "desk", "sanitary", "shelf", "sofa", "appliance")
"""Kinds that are made to be seen or used from one side."""
_FRONTED_SHAPE, _FRONTED_COLOR, _LEAST_QUARTER = 0.1, 0.035, 0.05
_NEVER = ("plant",)
"""Any side of a tree differs from any other, but none is the front."""
_PLAIN_SHAPE = 0.7


def kind_of(noun: str, tags: Sequence[str], category: str) -> str:
    """One of ``KINDS`` or "other"."""
    head = head_of(noun)
    if re.search(r"washing machine|dryer$", head):
        return "appliance"
    if category in ("Characters", "Vehicles") or {"Clothes", "Food", "Toy"} & set(tags):
        return "other"
    return next((kind for kind, pattern in _RULES if re.search(pattern, head)), "other")


def is_asymmetric(kind: str, measures: Measures) -> bool:
    """Whether a picture tells front from back and sides.

    A half turn about the vertical axis must change the picture of shape or colour, of a kind that has a front a
    little, of any other thing a lot; and a quarter turn must change the shape as well.
    """
    if kind in _NEVER:
        return False
    if kind in _FRONTED:
        differs = measures.half_turn >= _FRONTED_SHAPE or measures.half_turn_color >= _FRONTED_COLOR
        return differs and measures.quarter_turn >= _LEAST_QUARTER
    return min(measures.half_turn, measures.quarter_turn) >= _PLAIN_SHAPE

"""Words read from the names that authors gave to materials, textures and groups, in the languages they used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from maquette_backend.priors.starter.training.measuring import MaterialShare

_WOODS = {
    "oak": "oak",
    "bareoak": "oak",
    "pine": "pine",
    "pino": "pine",
    "walnut": "walnut",
    "nogal": "walnut",
    "teak": "teak",
    "teck": "teak",
    "theca": "teak",
    "alder": "alder",
    "mahogany": "mahogany",
    "mohogany": "mahogany",
    "mahagoni": "mahogany",
}
_WOODS_IF_WOOD = {"cherry": "cherry", "pear": "pear wood", "beech": "beech"}
"""Also fruits and trees: woods only where the same name says wood."""
_TOKENS: tuple[tuple[str, str], ...] = (
    ("leather", r"leather|cuero|cuir|kuze"),
    ("wooden", r"wood|wooden|woody|madera|madeira|bois|legno|holz|fusta|plywood|mdf|wenge|venge|butcherblock|woodred"),
    ("rattan", r"rattan|wicker|mimbre"),
    ("marble", r"marble|marmol|marbre"),
    ("concrete", r"concrete|beton"),
    ("ceramic", r"ceramics?|ceramique|ceramica|porcelain|fayence|faiance|faience|crockery"),
    ("stone", r"stones?|granite|slate|piedras"),
    ("brass", r"brass"),
    ("gold", r"gold|golden"),
    ("chrome", r"chrome|chrom|cromo|krome|cromado"),
    ("steel", r"steel|stainless|inox|acero"),
    ("iron", r"iron|hierro"),
    ("aluminium", r"alumini?um|alluminium|alumain|alum"),
    ("metal", r"metal|metall|metalic|metallic|metalillo|metallo|whitemetal|darkmetal|greymetal"),
    ("glass", r"glass|cristal|vidro|vidre|glas|tableglass"),
    ("velvet", r"velvet"),
    ("fabric", r"fabric|cloth|textile|textil|tela|telas|tissu|estofamento|chenille|burlap|cotton|wool"),
    ("plastic", r"plastic|plastico|plast|pvc|vinyl|polypropylene|blackplastics?|redplastic|whiteplastic|plasticwhite"),
    ("cardboard", r"cardboard"),
    ("rubber", r"rubber"),
    ("paper", r"paper"),
)
IMPLY_COLOR = frozenset(
    {*_WOODS.values(), *_WOODS_IF_WOOD.values(), "wooden", "rattan", "brass", "gold", "copper", "cardboard", "burlap"}
)
"""Materials that say a colour as well, true only while the channels are in order."""
_NOUNS = {"wooden": "wood"}
_WOOD_WORDS = frozenset({*_WOODS.values(), *_WOODS_IF_WOOD.values()})
_LEAST_SHARE = 0.15


def tokens(name: str) -> list[str]:
    """Lower-case words of a name like "lightWood_NONE.001"."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return re.findall(r"[a-z]+", re.sub(r"\.(?:jpe?g|png|tga|bmp)\b", " ", spaced.lower()))


def material_word(name: str) -> str:
    """ "oak", "wooden", "metal" or what else a material's name tells, or empty."""
    words = tokens(name)
    says_wood = any(re.fullmatch(_TOKENS[1][1], word) for word in words)
    for word in words:
        if word in _WOODS:
            return _WOODS[word]
        if says_wood and word in _WOODS_IF_WOOD:
            return _WOODS_IF_WOOD[word]
    return next((kind for kind, pattern in _TOKENS if any(re.fullmatch(pattern, word) for word in words)), "")


def main_materials(kind: str, materials: Sequence[MaterialShare], told: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """What it is made of and how much of it shows, at most two: all that cover 15 %, and what its name ``told``."""
    shares: dict[str, float] = dict.fromkeys(told, 1.0)
    for material in materials:
        word = material_word(material.name)
        if word and not (kind in _HARD_KINDS and word in _SOFT):
            shares[word] = min(1.0, shares.get(word, 0.0) + material.share)
    ranked = [word for word in sorted(shares, key=lambda word: -shares[word]) if shares[word] >= _LEAST_SHARE]
    if any(word in _WOOD_WORDS for word in ranked):
        ranked = [word for word in ranked if word != "wooden"]
    return tuple((word, shares[word]) for word in ranked[:2])


def material_noun(word: str) -> str:
    """ "wood" for "wooden"; all others are their own noun."""
    return _NOUNS.get(word, word)


@dataclass(frozen=True)
class Part:
    """A part that shows, in words."""

    word: str
    """With its number: "cushions", "seat"."""
    rgb: tuple[int, int, int] | None
    """Its colour if it has a material of its own that shows enough."""


_SEATS = frozenset({"chair", "armchair", "sofa", "stool"})
_CUSHION = r"cushions?|cosins|cojines|cojin|coixi|cojoncillos|sofacushions"
_PARTS: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("seat", r"seat|sit|asiento|zitting", frozenset({"chair", "armchair", "stool"})),
    ("cushion", _CUSHION, frozenset({"chair", "stool"})),
    ("cushions", _CUSHION, frozenset({"armchair", "sofa"})),
    ("armrests", r"armrests?", frozenset({"chair", "armchair"})),
    ("legs", r"legs?|feet|foot|patas|pata|potes|negrepotes", _SEATS | {"table", "desk", "bed"}),
    ("wheels", r"wheels?|ruedas", frozenset({"chair"})),
    ("pillows", r"pillows?", frozenset({"bed", "sofa"})),
    ("mattress", r"mattress|matress", frozenset({"bed"})),
    ("blanket", r"blanket|coverlet|sheet|cover|colcha|sobrecolchon", frozenset({"bed"})),
    ("drawers", r"drawers?", frozenset({"cabinet", "desk", "bed", "table", "sanitary"})),
    ("doors", r"doors?", frozenset({"cabinet"})),
    ("mirror", r"mirror|espejo", frozenset({"cabinet", "sanitary", "table"})),
    ("worktop", r"counter|worktops?", frozenset({"cabinet", "sanitary"})),
    ("top", r"top|tabletop|desktop", frozenset({"table", "desk"})),
    ("shade", r"shade|lampshade|pantalla", frozenset({"lamp"})),
    ("base", r"base|ceramicbase|foot", frozenset({"lamp"})),
    ("pot", r"pot|maceta", frozenset({"plant"})),
    ("flowers", r"flowers?|petals?|petalred", frozenset({"plant"})),
    ("faucet", r"faucet|tap|grifo", frozenset({"sanitary"})),
    ("books", r"books?|libros", frozenset({"shelf"})),
    ("frame", r"frame|structure", frozenset({"chair", "bed", "sofa", "decoration"})),
)
"""The word said, pattern of a token, and the kinds that have such a part."""
_SOFT = frozenset({"fabric", "velvet", "leather", "paper"})
_HARD_KINDS = frozenset({"table", "desk", "cabinet", "shelf", "appliance", "sanitary"})
"""Kinds that no one would say are made of cloth or leather, whatever their textures are called."""
GOES_WITHOUT_SAYING = frozenset({"seat", "base", "frame", "top", "legs"})
"""Parts worth no word but for their colour."""
_SHOWS, _SHOWS_COLOR = 0.01, 0.06
"""Shares of the surface from which a part is worth naming, and worth naming with its colour."""


def parts_of(kind: str, materials: Sequence[MaterialShare], groups: Sequence[str]) -> tuple[Part, ...]:
    """Parts that materials or groups are named after, those with a colour of their own first."""
    found: list[Part] = []
    for word, pattern, kinds in _PARTS:
        if kind not in kinds:
            continue
        own = [m for m in materials if m.share >= _SHOWS and any(re.fullmatch(pattern, t) for t in tokens(m.name))]
        if own:
            colored = own[0].rgb if own[0].share >= _SHOWS_COLOR else None
            found.append(Part(word, colored))
        elif word not in GOES_WITHOUT_SAYING and any(
            re.fullmatch(pattern, token) for group in groups for token in tokens(group)
        ):
            found.append(Part(word, None))
    return tuple(sorted(found, key=lambda part: part.rgb is None))

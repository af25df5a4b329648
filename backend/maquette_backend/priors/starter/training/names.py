"""Catalogue names made plain: no numbers, brands and slips of translation, and what else one would say for them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLAIN = {
    "abdominal bench": "exercise bench",
    "acacia": "acacia tree",
    "air conditioning external unit": "air conditioner",
    "air conditioning internal unit": "air conditioner",
    "apple ibook": "laptop",
    "apple imac 1998": "desktop computer",
    "apple imac 2004": "desktop computer",
    "apple iphone": "smartphone",
    "apples": "bowl of apples",
    "armchair ottoman": "ottoman",
    "arrow straight ahead": "road arrow",
    "arrow turn right": "road arrow",
    "arrow turn right and ahead": "road arrow",
    "bar chair": "bar stool",
    "barnum": "garden tent",
    "bath": "bathtub",
    "bended coconut tree": "coconut tree",
    "bike": "bicycle",
    "bill 10": "banknote",
    "bill 20": "banknote",
    "bill 50": "banknote",
    "black table": "table",
    "blue pine under snow": "snowy pine tree",
    "boiler": "kettle",
    "bootie": "ankle boot",
    "bowl with fruits": "bowl of fruit",
    "bowl with salad": "bowl of salad",
    "bread": "loaf of bread",
    "bullet trash can": "trash can",
    "butter": "butter dish",
    "captains bed": "captain's bed",
    "card game": "playing cards",
    "cctv": "security camera",
    "chair with cushion": "chair with a cushion",
    "chandelier lamp": "chandelier",
    "chevrolet": "car",
    "child hut": "playhouse",
    "children chair": "child chair",
    "children game": "playground slide",
    "children table": "child table",
    "class seat": "school chair",
    "classic lamppost": "lamppost",
    "clear sofa": "sofa",
    "clothes horse": "drying rack",
    "clothes washing machine": "washing machine",
    "concept sedan 01": "car",
    "concept sedan 02": "car",
    "concept sedan 02 sport": "sports car",
    "contemporary living room": "wall unit",
    "convertible sofa bz": "convertible sofa",
    "copper beech": "beech tree",
    "cosmetics pot": "cosmetics jar",
    "creamer": "cream jug",
    "cup cake": "cupcake",
    "cypress": "cypress tree",
    "dart game": "dartboard",
    "deer": "deer figurine",
    "desk table": "desk",
    "double door with panes": "double door with glass panes",
    "double french window 3 panes": "double french window",
    "double french window small panes": "double french window",
    "double window 3 panes": "double window",
    "double window 4 panes": "double window",
    "drawers cabinet": "drawer cabinet",
    "dresser with drawers": "dresser",
    "dryer machine": "tumble dryer",
    "entry bell ring": "doorbell",
    "entry speech unit": "intercom",
    "extinguisher": "fire extinguisher",
    "female": "woman",
    "ficus": "ficus plant",
    "fitness tower": "weight machine",
    "flacon": "perfume bottle",
    "flipper": "pinball machine",
    "fluorescent strip": "fluorescent light",
    "ford focus": "car",
    "frame chambord": "picture frame",
    "frame hi an": "picture frame",
    "full bookcase": "bookcase with books",
    "futon": "futon bed",
    "gaz water heater": "gas water heater",
    "glass door cabinet": "cabinet with glass doors",
    "glasses": "eyeglasses",
    "hashtray": "ashtray",
    "holding female": "woman",
    "holding male": "man",
    "hood": "range hood",
    "indoor bike": "exercise bike",
    "induction cooker 2 zones": "induction hob",
    "induction cooker 4 zones": "induction hob",
    "inkjet printer and scanner": "printer",
    "intercom with screen": "intercom",
    "island": "kitchen island",
    "island bath": "bathtub",
    "island extension": "kitchen counter",
    "jacuzzi": "hot tub",
    "japanese maple": "japanese maple tree",
    "keyboard": "music keyboard",
    "letters box": "mailbox",
    "lip stick": "lipstick",
    "little bank": "bench",
    "little lamp": "small lamp",
    "little plant": "small plant",
    "locked locker": "locker",
    "lying down boy": "lying boy",
    "lying down female": "lying woman",
    "lying down male": "lying man",
    "male": "man",
    "mannequin female": "woman",
    "mannequin male": "man",
    "mezzanine bed": "loft bed",
    "milk": "milk carton",
    "mini stereo": "stereo",
    "mixer": "stand mixer",
    "mocassin": "moccasin shoe",
    "mower": "lawn mower",
    "mp3 base": "music dock",
    "mp3 station": "music dock",
    "number lock": "number keypad",
    "oil servers": "oil bottles",
    "opened convertible sofa bz": "sofa bed",
    "orchids": "orchid plant",
    "osaka chair": "chair",
    "park trashcan": "park trash can",
    "peach blossom": "peach tree in blossom",
    "penbox": "pencil box",
    "pendant lamp": "hanging lamp",
    "peugeot 308 cc": "convertible car",
    "pine": "pine tree",
    "pine under snow": "snowy pine tree",
    "plate glass and cutlery": "plate with a glass and cutlery",
    "plate glasses and cutlery": "plate with glasses and cutlery",
    "playstation": "game console",
    "pool lounge": "sun lounger",
    "poplar": "poplar tree",
    "pottery": "pottery jar",
    "puff": "pouf",
    "punching ball": "punching bag",
    "quadruple french window 3 panes": "quadruple french window",
    "quadruple french window small panes": "quadruple french window",
    "rectangle swimming pool": "swimming pool",
    "relax chair": "lounge chair",
    "renault scenic": "car",
    "residential trashcan": "wheeled bin",
    "rigged fan": "fan",
    "roasted chicken": "roast chicken",
    "rubiks cube": "rubik's cube",
    "ryokan chair": "floor chair",
    "screen": "folding screen",
    "seat leon": "car",
    "shelves": "shelf unit",
    "short": "shorts",
    "sitting female": "sitting woman",
    "sitting male": "sitting man",
    "small lavatory": "washbasin",
    "smart car": "small car",
    "soap": "soap dish",
    "socket": "sock",
    "sofa 2 seats": "two-seat sofa",
    "sofa 3 seats": "three-seat sofa",
    "spathiphyllum": "peace lily plant",
    "spice tower": "spice rack",
    "squeezer": "juicer",
    "stone grill device": "table grill",
    "sugar": "sugar bowl",
    "suv": "large car",
    "sycamore maple": "maple tree",
    "table on trestles": "trestle table",
    "table tennis": "table tennis table",
    "table with tablecloth": "table with a tablecloth",
    "tape": "roll of tape",
    "technical table": "work table",
    "toilets unit": "toilet",
    "tool": "kitchen utensil",
    "trunck": "trunk",
    "turn window": "window",
    "tv": "television",
    "tv 169": "television",
    "upper shelves cabinet": "open wall cabinet",
    "utensils pot": "utensil pot",
    "vertical shelves": "shelf unit",
    "vw new beetle": "car",
    "wall flat tv": "flat television",
    "wall lamp artwork": "wall lamp",
    "white board": "whiteboard",
    "white lily": "lilies in a vase",
    "winchester armchair": "armchair",
    "winchester sofa": "sofa",
    "wire coathanger": "wire coat hanger",
    "woman shoes": "women's shoes",
    "wood bank": "wooden bench",
    "wood logs": "pile of logs",
    "wood toy": "wooden toy",
    "yamaha yzr r6": "motorbike",
    "yucca": "yucca plant",
}
"""Names that mislead: slips ("bank" for bench), brands, colours and what only a catalogue would say."""
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
    words = _PLAIN.get(words, words)
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

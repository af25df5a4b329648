"""Ordinary English for the text encoder: the words and definitions of WordNet 3.0, from Debian's wordnet-base.

WordNet 3.0 is copyright 2006 by Princeton University; its licence permits use, copying and changes without fee
where its notice is kept. Nothing of it is shipped: its texts are only what the small encoder hears its teacher on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maquette_backend.priors.starter.training.debian_package import obtain_package, unpack_package

PACKAGE = "wordnet-base"
_DICTIONARY = Path("usr/share/wordnet")
_PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
_ARTIFACTS = "06"
"""Number of the lexicographer's file ``noun.artifact``: things made by people."""


@dataclass(frozen=True)
class Synset:
    """One meaning: its synonyms, its definition, and sentences that use it."""

    words: tuple[str, ...]
    definition: str
    examples: tuple[str, ...]
    artifact: bool
    """A thing made by people: furniture, tools, clothes, buildings."""


def obtain_wordnet(cache: Path) -> Path:
    """The folder of WordNet's data files, fetched into ``cache`` at the first call.

    A ``wordnet-base*.deb`` that already lies in ``cache`` is used as it is. Raises RuntimeError if the package
    can't be fetched.
    """
    cache = cache.resolve()
    folder = cache / PACKAGE / _DICTIONARY
    if not (folder / "data.noun").exists():
        unpack_package(PACKAGE, obtain_package(PACKAGE, cache), cache / PACKAGE)
    return folder


def synsets(folder: Path) -> list[Synset]:
    """All meanings in ``folder``, in the files' order."""
    return [
        synset
        for part in _PARTS_OF_SPEECH
        for synset in parse_synsets((folder / f"data.{part}").read_text(encoding="latin1"))
    ]


def parse_synsets(text: str) -> Iterator[Synset]:
    """Reads a ``data.*`` file (format: wndb(5WN)); lines that begin with blanks are its licence."""
    for line in text.splitlines():
        if line.startswith(" ") or " | " not in line:
            continue
        fields, gloss = line.split(" | ", 1)
        columns = fields.split(" ")
        count = int(columns[3], 16)
        words = tuple(_plain_word(columns[4 + 2 * index]) for index in range(count))
        examples = tuple(re.findall(r'"([^"]+)"', gloss))
        definition = re.sub(r'[;,\s]*"[^"]*"?', "", gloss).strip(" ;")
        yield Synset(words, definition, examples, columns[1] == _ARTIFACTS)


def _plain_word(word: str) -> str:
    return re.sub(r"\((?:a|p|ip)\)$", "", word).replace("_", " ")

"""What the text encoder learns from: furniture captions and prompts made by a grammar, and ordinary English."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maquette_backend.priors.starter.training.captions import plain_name
from maquette_backend.priors.starter.training.furniture_package import furniture_models, obtain_furniture
from maquette_backend.priors.starter.training.wordnet import Synset, obtain_wordnet, synsets

_WORDS_FILE = Path(__file__).parent / "prompt_words.txt"
_COLORS_PER_MODEL = 5
_SHARES = (4, 5, 2)
"""Of prompts for things of the catalogue, of the furniture list, and of WordNet's man-made things."""


@dataclass(frozen=True)
class PromptWords:
    """What prompts are made of: the sections of prompt_words.txt."""

    colors: tuple[str, ...]
    materials: tuple[str, ...]
    styles: tuple[str, ...]
    furniture: tuple[str, ...]
    parts: tuple[str, ...]
    rooms: tuple[str, ...]
    views: tuple[str, ...]
    manners: tuple[str, ...]
    patterns: tuple[str, ...]


def prompt_words() -> PromptWords:
    """Reads the lists that lie beside this module."""
    sections = re.split(r"^\[(\w+)\]\n", _WORDS_FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    lists = {
        name: tuple(word.strip() for word in body.replace("\n", " ").split(","))
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }
    return PromptWords(**lists)


@dataclass(frozen=True)
class CorpusSizes:
    """How many texts of each kind; fewer where a source has fewer."""

    prompts: int = 45_000
    artifact_texts: int = 25_000
    """Words, definitions and examples of man-made things."""
    general_texts: int = 30_000
    held_out: int = 1000
    """Of each of the two kinds of text in ``Corpus.held_out``."""


@dataclass(frozen=True)
class Corpus:
    """Texts without repetition; nothing that is held out is among those to learn from."""

    training: tuple[str, ...]
    held_out: dict[str, tuple[str, ...]]
    """By kind: "furniture" and "general"."""


def build_corpus(cache: Path, sizes: CorpusSizes, seed: int = 0) -> Corpus:
    """The corpus from the furniture package's catalogue and WordNet, fetched at need; the same for the same seed."""
    models = furniture_models(obtain_furniture(cache))
    rng, colors = random.Random(seed), prompt_words().colors
    catalog = [plain_name(model.name) for model in models]
    shown = [
        phrase
        for model, noun in zip(models, catalog, strict=True)
        for color in rng.sample(colors, _COLORS_PER_MODEL)
        for phrase in _catalog_phrases(noun, model.category.lower(), color, rng.random() < 0.3)
    ]
    return mix_corpus(catalog, shown, synsets(obtain_wordnet(cache)), sizes, seed)


def mix_corpus(
    catalog: Sequence[str], shown: Sequence[str], meanings: Sequence[Synset], sizes: CorpusSizes, seed: int
) -> Corpus:
    """Draws prompts, man-made things and general English, and holds some of each out."""
    rng = random.Random(seed)
    objects = [word for meaning in meanings if meaning.artifact for word in meaning.words]
    words = prompt_words()
    nouns = (list(catalog), list(words.furniture), objects or list(words.furniture))
    made = [prompt(rng, words, rng.choices(nouns, _SHARES)[0]) for _ in range(sizes.prompts)]
    made_things = _sample(rng, _texts(meaning for meaning in meanings if meaning.artifact), sizes.artifact_texts)
    general = _sample(rng, _texts(meaning for meaning in meanings if not meaning.artifact), sizes.general_texts)
    # What the picture network is trained on, and the bare words, are never held out.
    kept = dict.fromkeys([*shown, *catalog, *words.furniture, *words.colors, *words.materials])
    furniture = _shuffled(rng, [*kept, *made])
    english = _shuffled(rng, [*made_things, *general])
    held = {
        "furniture": tuple([text for text in furniture if text not in kept][: sizes.held_out]),
        "general": tuple(english[: sizes.held_out]),
    }
    hidden = {text for texts in held.values() for text in texts}
    training = tuple(text for text in dict.fromkeys([*furniture, *english]) if text not in hidden)
    return Corpus(training, held)


def prompt(rng: random.Random, words: PromptWords, nouns: Sequence[str]) -> str:
    """A phrase for one object as an artist, a caption or a catalogue words it."""
    noun = rng.choice(nouns)
    said = [rng.choice(words.styles)] if rng.random() < 0.3 else []
    said += [rng.choice(words.colors)] if rng.random() < 0.55 else []
    said += [rng.choice(words.patterns)] if rng.random() < 0.06 else []
    said += [rng.choice(words.materials)] if rng.random() < 0.35 else []
    text = " ".join([*said, noun])
    text = _with_article(rng, text) + _detail(rng, words)
    ending = rng.random()
    if ending < 0.15:
        text += f", {rng.choice(words.rooms)}"
    elif ending < 0.35:
        text += f", {rng.choice(words.views)}"
    elif ending < 0.5:
        text += "".join(f", {manner}" for manner in rng.sample(words.manners, rng.choice((1, 1, 2))))
    return text


def _catalog_phrases(noun: str, category: str, color: str, wooden: bool) -> list[str]:
    """From all that a catalogue knows to the bare noun."""
    material = "wooden " if wooden and "wood" not in noun else ""
    last = noun.split(" ")[-1]
    phrases = [f"{color} {material}{noun}", f"{color} {noun}", noun, f"{color} {last if last.isalpha() else noun}"]
    told = [_article(phrase) for phrase in phrases]
    return [*told, f"{told[0]}, {category}"]


def _article(text: str) -> str:
    return ("an " if text[0] in "aeiou" else "a ") + text


def _with_article(rng: random.Random, text: str) -> str:
    form = rng.random()
    if form < 0.6:
        return _article(text)
    return f"the {text}" if form < 0.65 else text


def _detail(rng: random.Random, words: PromptWords) -> str:
    choice = rng.random()
    if choice < 0.18:
        kind = words.colors if rng.random() < 0.5 else words.materials if rng.random() < 0.7 else words.styles
        quality = rng.choice(kind)
        return f" with {quality} {rng.choice(words.parts)}"
    if choice < 0.24:
        return f" made of {rng.choice(words.materials)}"
    if choice < 0.27:
        return f" upholstered in {rng.choice(words.colors)} {rng.choice(('leather', 'velvet', 'linen', 'fabric'))}"
    if choice < 0.3:
        return f" and {rng.choice(('a ', ''))}{rng.choice(words.furniture)}"
    return ""


def _texts(meanings: Iterator[Synset]) -> list[str]:
    """Words alone, words with what they mean, and the definitions and examples alone."""
    texts: list[str] = []
    for meaning in meanings:
        texts += [*meaning.words, meaning.definition, *meaning.examples]
        texts.append(f"{meaning.words[0]}: {meaning.definition}")
    return list(dict.fromkeys(text for text in texts if text))


def _sample(rng: random.Random, texts: Sequence[str], count: int) -> list[str]:
    return rng.sample(texts, min(count, len(texts)))


def _shuffled(rng: random.Random, texts: Sequence[str]) -> list[str]:
    unique = list(dict.fromkeys(texts))
    rng.shuffle(unique)
    return unique

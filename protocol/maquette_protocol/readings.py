"""What a prior makes of prompts, in plain sentences: the same words in Blender's panel and on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from .messages import PromptReading
from .recipe import Recipe

_PROMPT_SHOWN = 40
_NEAREST_SHOWN = 40
_MOST_SENTENCES = 3
_NO_BREAK = "\N{NO-BREAK SPACE}"
"""A panel wraps sentences; a number and its unit stay together."""


def sentence(reading: PromptReading, prior: str, prompt: str) -> str:
    """How well ``prior`` knows what ``prompt`` asks for, and how much of it was read; empty if nothing is to be said."""
    return " ".join(filter(None, (_known(reading, prior, prompt), _cut(reading, prompt))))


def sentences(readings: Sequence[PromptReading], recipe: Recipe) -> tuple[str, ...]:
    """A few sentences about a whole job, what is doubtful before what is known well."""
    prompts = {subject.subject_id: subject.prompt for subject in recipe.subjects}
    ordered = sorted(readings, key=lambda reading: reading.verdict == "known" and not _cut(reading, _of(prompts, reading)))
    said = [sentence(reading, recipe.prior, _of(prompts, reading)) for reading in ordered]
    said = list(dict.fromkeys(filter(None, said)))
    hidden = len(said) - _MOST_SENTENCES
    return tuple(said[:_MOST_SENTENCES]) + ((f"And {hidden} more.",) if hidden > 0 else ())


def _of(prompts: dict[str, str], reading: PromptReading) -> str:
    return prompts.get(reading.subject_id, "")


def _known(reading: PromptReading, prior: str, prompt: str) -> str:
    nearest = _short(reading.nearest, _NEAREST_SHOWN)
    likeness = f"{nearest} ({100 * min(max(reading.similarity, 0.0), 1.0):.0f}{_NO_BREAK}%)"
    who, asked = f"The {prior} prior", f"“{_short(prompt, _PROMPT_SHOWN)}”"
    match reading.verdict:
        case None:
            return ""
        case "known":
            return f"{who} knows {asked}: {likeness}."
        case "near":
            return f"{who} knows {asked} only roughly; nearest: {likeness}."
        case "unknown" if nearest:
            return f"{who} doesn't know {asked} well; nearest: {likeness}."
        case "unknown":
            return f"{who} can't read {asked}: it knows English words for things."


def _cut(reading: PromptReading, prompt: str) -> str:
    whole = len(prompt.strip())
    if reading.chars_read >= whole:
        return ""
    return f"Only the first {max(reading.chars_read, 0)} of {whole} characters are used."


def _short(text: str, most: int) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"

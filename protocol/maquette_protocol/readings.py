"""What a prior makes of prompts, in plain sentences: the same words in Blender's panel and on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from .messages import CutText, PromptReading
from .recipe import Recipe, Subject

_PROMPT_SHOWN = 40
_NEAREST_SHOWN = 40
_PRIOR_SHOWN = 40
_MOST_SENTENCES = 3
_MOST_CUTS = 2
_NO_BREAK = "\N{NO-BREAK SPACE}"
"""A panel wraps sentences; a number and its unit stay together."""


def sentence(reading: PromptReading, prior: str, prompt: str, negative_prompt: str = "") -> str:
    """How well ``prior`` knows what ``prompt`` asks for, and how much of it, of the negative prompt, and of both by further
    priors was read; empty if nothing is to be said."""
    cuts = [_cut_elsewhere(one, prior, negative_prompt if one.negative else prompt) for one in reading.cuts]
    cuts = list(filter(None, cuts))
    hidden = len(cuts) - _MOST_CUTS
    more = [f"{hidden} more {'text is' if hidden == 1 else 'texts are'} cut."] if hidden > 0 else []
    return " ".join(filter(None, (_known(reading, prior, prompt), _cut(reading, prompt), *cuts[:_MOST_CUTS], *more)))


def sentences(readings: Sequence[PromptReading], recipe: Recipe) -> tuple[str, ...]:
    """A few sentences about a whole job, what is doubtful before what is known well."""
    subjects = {subject.subject_id: subject for subject in recipe.subjects}
    pairs = [(reading, *_texts(subjects.get(reading.subject_id))) for reading in readings]
    pairs.sort(key=lambda pair: pair[0].verdict == "known" and not pair[0].cuts and not _cut(pair[0], pair[1]))
    said = [sentence(reading, recipe.prior, *texts) for reading, *texts in pairs]
    said = list(dict.fromkeys(filter(None, said)))
    hidden = len(said) - _MOST_SENTENCES
    return tuple(said[:_MOST_SENTENCES]) + ((f"And {hidden} more.",) if hidden > 0 else ())


def _texts(subject: Subject | None) -> tuple[str, str]:
    """Prompt and negative prompt."""
    return (subject.prompt, subject.negative_prompt) if subject is not None else ("", "")


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


def _cut_elsewhere(cut: CutText, own: str, text: str) -> str:
    """``own``: the recipe's own prior, which goes without saying."""
    whole = len(text.strip())
    if cut.chars_read >= whole:
        return ""
    count = f"the first {max(cut.chars_read, 0)} of {whole} characters"
    where = " of the negative prompt" if cut.negative else ""
    return f"Only {count}{where} are used{'' if cut.prior == own else f' by {_short(cut.prior, _PRIOR_SHOWN)}'}."


def _short(text: str, most: int) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"

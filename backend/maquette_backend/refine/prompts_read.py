"""What the priors make of a recipe's prompts, told before the work begins."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from maquette_protocol.limits import MAX_NAME_CHARS
from maquette_protocol.messages import CutText, PromptReading
from maquette_protocol.recipe import Recipe, Subject

from maquette_backend.priors.prior import Prior, ReadsPrompts


def prompts_read(
    prior: Prior, recipe: Recipe, further: Mapping[str, Prior] = MappingProxyType({})
) -> tuple[PromptReading, ...]:
    """One reading a subject, in the recipe's order; none of a subject whose texts are read whole by priors that can't
    judge them. ``further``: the recipe's further priors, by name."""
    others = {name: one for name, one in further.items() if isinstance(one, ReadsPrompts)}
    own = prior if isinstance(prior, ReadsPrompts) else None
    readings = (_reading(own, recipe.prior, others, subject) for subject in recipe.subjects)
    return tuple(reading for reading in readings if reading is not None)


def _reading(
    own: ReadsPrompts | None, name: str, others: Mapping[str, ReadsPrompts], subject: Subject
) -> PromptReading | None:
    prompt = subject.prompt.strip()
    known = None if own is None else own.familiarity(prompt)
    count = len(prompt) if own is None else own.chars_read(prompt)
    cuts = _cuts({} if own is None else {name: own}, subject, (True,)) + _cuts(others, subject, (False, True))
    if known is not None:
        nearest = known.nearest[:MAX_NAME_CHARS]
        return PromptReading(subject.subject_id, count, known.verdict, nearest, known.similarity, cuts)
    return PromptReading(subject.subject_id, count, cuts=cuts) if cuts or count < len(prompt) else None


def _cuts(readers: Mapping[str, ReadsPrompts], subject: Subject, negatives: tuple[bool, ...]) -> tuple[CutText, ...]:
    """The subject's prompt (False) and negative prompt (True), where a reader does not take the whole of it."""
    found = []
    for name, reader in readers.items():
        for negative in negatives:
            text = (subject.negative_prompt if negative else subject.prompt).strip()
            count = reader.chars_read(text)
            found += [CutText(name, negative, count)] if count < len(text) else []
    return tuple(found)

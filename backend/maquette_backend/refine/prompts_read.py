"""What the prior makes of a recipe's prompts, told before the work begins."""

from __future__ import annotations

from maquette_protocol.limits import MAX_NAME_CHARS
from maquette_protocol.messages import PromptReading
from maquette_protocol.recipe import Recipe, Subject

from maquette_backend.priors.prior import Prior, ReadsPrompts


def prompts_read(prior: Prior, recipe: Recipe) -> tuple[PromptReading, ...]:
    """One reading a subject, in the recipe's order; none from a prior that can say nothing of texts."""
    if not isinstance(prior, ReadsPrompts):
        return ()
    readings = (_reading(prior, subject) for subject in recipe.subjects)
    return tuple(reading for reading in readings if reading is not None)


def _reading(prior: ReadsPrompts, subject: Subject) -> PromptReading | None:
    prompt = subject.prompt.strip()
    known, count = prior.familiarity(prompt), prior.chars_read(prompt)
    if known is not None:
        nearest = known.nearest[:MAX_NAME_CHARS]
        return PromptReading(subject.subject_id, count, known.verdict, nearest, known.similarity)
    return PromptReading(subject.subject_id, count) if count < len(prompt) else None

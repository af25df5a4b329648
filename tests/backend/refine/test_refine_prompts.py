"""A job tells what its prior makes of the prompts, and goes on whatever that is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from job_in_memory import SMALL, Shelf, run, starter
from maquette_backend.priors.prior import Familiarity
from maquette_backend.refine.prompts_read import prompts_read
from maquette_protocol.limits import MAX_NAME_CHARS
from maquette_protocol.messages import CutText, PromptReading
from maquette_protocol.recipe import ArrayRef, MeshRef, Recipe, Subject
from refine_shapes import box

from tests.backend.guidance.gaussian_prior import GaussianPrior

MESH = MeshRef(ArrayRef("a" * 64, "f4", (3, 3)), ArrayRef("b" * 64, "i4", (1, 3)))


def recipe(*prompts: str) -> Recipe:
    return Recipe(tuple(Subject(f"{number:032x}", "Thing", prompt, MESH) for number, prompt in enumerate(prompts)))


def gaussian() -> GaussianPrior:
    return GaussianPrior(lambda text, views, modality: torch.zeros(1), 1.0)


@dataclass(frozen=True)
class Reader(GaussianPrior):
    """Reads eight characters."""

    says: Familiarity | None = None

    def familiarity(self, text: str) -> Familiarity | None:
        return self.says

    def chars_read(self, text: str) -> int:
        return min(len(text), 8)


def reader(says: Familiarity | None = None) -> Reader:
    return Reader(lambda text, views, modality: torch.zeros(1), 1.0, says=says)


def test_an_ordinary_prior_tells_nothing() -> None:
    assert prompts_read(gaussian(), recipe("a dragon")) == ()


def test_a_prior_that_cannot_judge_tells_only_what_it_cut() -> None:
    found = prompts_read(reader(), recipe("a chair", "a very long prompt", "  a chair "))
    assert found == (PromptReading(f"{1:032x}", 8),)


def test_what_is_cut_of_negative_prompts_and_by_further_priors_is_told() -> None:
    subjects = tuple(
        replace(recipe(prompt).subjects[0], subject_id=f"{number:032x}", negative_prompt=negative)
        for number, (prompt, negative) in enumerate(
            [("a chair", ""), ("a chair", " blurry "), ("a chair", "very blurry"), ("a very long prompt", "very blurry")]
        )
    )
    asked = replace(recipe(""), subjects=subjects, prior="mine")
    negative = CutText("mine", True, 8)
    assert prompts_read(reader(), asked) == (
        PromptReading(f"{2:032x}", 7, cuts=(negative,)), PromptReading(f"{3:032x}", 8, cuts=(negative,)),
    )  # fmt: skip
    by_other = (CutText("other", False, 8), CutText("other", True, 8))
    assert prompts_read(gaussian(), asked, {"other": reader(), "mute": gaussian()}) == (
        PromptReading(f"{2:032x}", 7, cuts=by_other[1:]), PromptReading(f"{3:032x}", 18, cuts=by_other),
    )  # fmt: skip
    judged = prompts_read(reader(Familiarity("chair", 1.0, "known")), asked, {"other": reader()})
    assert [len(one.cuts) for one in judged] == [0, 0, 2, 3]
    assert judged[3] == PromptReading(f"{3:032x}", 8, "known", "chair", 1.0, (negative, *by_other))


def test_each_subject_is_judged_in_order_without_the_blanks_around_its_prompt() -> None:
    found = prompts_read(reader(Familiarity("x" * 300, 0.25, "near")), recipe(" a chair\n", "a very long prompt"))
    nearest = "x" * MAX_NAME_CHARS
    assert found == (
        PromptReading(f"{0:032x}", 7, "near", nearest, 0.25),
        PromptReading(f"{1:032x}", 8, "near", nearest, 0.25),
    )


@pytest.mark.parametrize("prompt", ["a dragon", "🐉", "红色的椅子", "???", "x" * 500])
def test_a_job_outside_the_priors_domain_is_told_and_done(prompt: str) -> None:
    shelf = Shelf()
    subject = shelf.subject(*box(), prompt=prompt, mode="texture_only")
    events = run(Recipe((subject,), stages=replace(SMALL, appearance_steps=2)), shelf)
    ((reading,),) = events.readings
    assert (reading.subject_id, reading.verdict) == (subject.subject_id, "unknown")
    assert reading.similarity < 0.55
    assert len(events.results) == 1


def test_it_is_told_before_the_first_step_and_again_when_the_job_resumes() -> None:
    shelf = Shelf()
    subject = shelf.subject(*box(), prompt="a wooden chair", mode="texture_only")
    small = Recipe((subject,), stages=replace(SMALL, appearance_steps=2))
    first = run(small, shelf, wishes=lambda asked: "cancel")
    assert first.results == []
    again = run(small, shelf)
    assert first.readings == again.readings == [prompts_read(starter("starter"), small)]
    assert first.readings[0][0].verdict == "known"

"""Sentences about prompts: short, true to the numbers, bounded whatever a backend sends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maquette_protocol import limits
from maquette_protocol.codec import Envelope, decode, encode
from maquette_protocol.messages import CutText, JobStatus, PromptReading, SubjectResult, SurfaceOrigin
from maquette_protocol.readings import sentence, sentences
from maquette_protocol.recipe import ArrayRef, MeshRef
from protocol_samples import HASH, JOB, RECIPE, SUBJECT


def _reading(**changes: object) -> PromptReading:
    return replace(PromptReading(SUBJECT, 8, "unknown", "statue", 0.42), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "The starter prior doesn't know “a dragon” well; nearest: statue (42\N{NO-BREAK SPACE}%)."),
        ({"verdict": "near"}, "The starter prior knows “a dragon” only roughly; nearest: statue (42\N{NO-BREAK SPACE}%)."),
        ({"verdict": "known"}, "The starter prior knows “a dragon”: statue (42\N{NO-BREAK SPACE}%)."),
        (
            {"nearest": "", "similarity": 0.0},
            "The starter prior can't read “a dragon”: it knows English words for things.",
        ),
        ({"verdict": None}, ""),
        ({"verdict": None, "chars_read": 3}, "Only the first 3 of 8 characters are used."),
    ],
)
def test_each_verdict_has_its_sentence(changes: dict[str, object], expected: str) -> None:
    assert sentence(_reading(**changes), "starter", "a dragon") == expected


def test_blanks_around_a_prompt_are_not_called_cut() -> None:
    assert "Only" not in sentence(_reading(chars_read=8), "starter", "  a dragon \n")


@given(
    nearest=st.text(max_size=300),
    prompt=st.text(min_size=1, max_size=limits.MAX_PROMPT_CHARS),
    similarity=st.floats(-1e300, 1e300),
    chars_read=st.integers(-(2**63), 2**63 - 1),
    verdict=st.sampled_from([None, "known", "near", "unknown"]),
)
def test_whatever_a_backend_sends_gives_one_short_line(
    nearest: str, prompt: str, similarity: float, chars_read: int, verdict: str | None
) -> None:
    reading = _reading(nearest=nearest, similarity=similarity, chars_read=chars_read, verdict=verdict)
    said = sentence(reading, "starter", prompt)
    assert len(said) <= 220
    assert said.replace("\N{NO-BREAK SPACE}", "").isprintable()
    assert not verdict or said.endswith((".", "!"))


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        ((CutText("starter", True, 3),), "Only the first 3 of 6 characters of the negative prompt are used."),
        ((CutText("mv", False, 5),), "Only the first 5 of 8 characters are used by mv."),
        ((CutText("mv", True, 5),), "Only the first 5 of 6 characters of the negative prompt are used by mv."),
        ((CutText("mv", False, 8), CutText("mv", True, 6)), ""),
        (
            (CutText("starter", True, 3), CutText("mv", False, 5), CutText("mv", True, 4), CutText("xl", True, 2)),
            "Only the first 3 of 6 characters of the negative prompt are used. Only the first 5 of 8 characters are used by mv."
            " 2 more texts are cut.",
        ),
    ],
)
def test_negative_prompts_and_further_priors_that_cut_are_named(cuts: tuple[CutText, ...], expected: str) -> None:
    reading = _reading(verdict=None, cuts=cuts)
    assert sentence(reading, "starter", "a dragon", " blurry\n") == expected
    subject = replace(RECIPE.subjects[0], prompt="a dragon", negative_prompt="blurry")
    assert sentences((reading,), replace(RECIPE, subjects=(subject,))) == ((expected,) if expected else ())


@given(
    prior=st.text(max_size=300), negative=st.booleans(), chars_read=st.integers(-(2**63), 2**63 - 1), count=st.integers(0, 256)
)
def test_whatever_is_cut_of_other_texts_stays_short(prior: str, negative: bool, chars_read: int, count: int) -> None:
    cuts = (CutText(prior, negative, chars_read),) * count
    said = sentence(_reading(verdict=None, cuts=cuts), "starter", "a dragon", "blurry")
    assert len(said) <= 300
    assert said.isprintable()


def test_the_largest_status_fits_a_control_frame() -> None:
    """Every subject, every result with all its arrays, every text cut by every prior, every notice."""
    ref = ArrayRef(HASH, "f4", (limits.MAX_VERTICES, limits.MAX_VERTICES, 3))
    mesh, origin = MeshRef(ref, ref, ref), SurfaceOrigin(ref, ref, ref)
    result = SubjectResult(SUBJECT, mesh, False, ref, origin, ref, ref, ref, 1 / 3, "real_esrgan")
    names = [f"{number}" * 63 for number in range(1 + limits.MAX_FURTHER_PRIORS)]
    cuts = tuple(CutText(name, negative, 499) for name in names for negative in (False, True))
    reading = PromptReading(SUBJECT, 499, "unknown", "w" * limits.MAX_NAME_CHARS, 1 / 3, cuts)
    notices = ("n" * limits.MAX_NOTICE_CHARS,) * limits.MAX_NOTICES
    status = JobStatus(
        JOB, "finished", results=(result,) * limits.MAX_SUBJECTS, readings=(reading,) * limits.MAX_SUBJECTS, notices=notices
    )
    frames = encode(Envelope(status, 1))
    assert len(bytes(frames[1])) <= limits.MAX_CONTROL_BYTES
    assert decode(frames).message == status


def test_doubt_comes_first_and_a_long_list_is_cut() -> None:
    subjects = tuple(replace(RECIPE.subjects[0], subject_id=f"{n:032x}", prompt=f"thing {n}") for n in range(6))
    recipe = replace(RECIPE, subjects=subjects)
    readings = [_reading(subject_id=f"{n:032x}", verdict="known", chars_read=7) for n in range(5)]
    readings.append(_reading(subject_id=f"{5:032x}", chars_read=7))
    said = sentences(readings, recipe)
    assert said[0] == "The starter prior doesn't know “thing 5” well; nearest: statue (42\N{NO-BREAK SPACE}%)."
    assert len(said) == 4
    assert said[-1] == "And 3 more."


def test_a_known_prompt_that_was_cut_counts_as_doubt() -> None:
    subjects = tuple(replace(RECIPE.subjects[0], subject_id=f"{n:032x}", prompt=f"thing {n}") for n in range(2))
    readings = [_reading(subject_id=f"{n:032x}", verdict="known", chars_read=7 - n) for n in range(2)]
    assert "“thing 1”" in sentences(readings, replace(RECIPE, subjects=subjects))[0]


def test_a_job_of_a_prior_that_tells_nothing_says_nothing() -> None:
    assert sentences((), RECIPE) == ()
    assert sentences((_reading(verdict=None, chars_read=14),), RECIPE) == ()


def test_the_same_sentence_is_said_once() -> None:
    two = tuple(replace(RECIPE.subjects[0], subject_id=f"{n:032x}") for n in range(2))
    assert len(sentences([_reading(subject_id=s.subject_id) for s in two], replace(RECIPE, subjects=two))) == 1

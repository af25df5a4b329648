"""What the starter knows and what it doesn't: the judgement on phrases that did not set its bounds.

``python tests/backend/priors/test_starter_familiarity.py [folder]`` prints the whole table, of the encoder in a folder
or of the shipped prior.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from familiarity_phrases import ELSEWHERE, FURNISHINGS
from hypothesis import given
from hypothesis import strategies as st
from maquette_backend.priors.prior import Familiarity, ReadsPrompts
from maquette_backend.priors.starter.familiarity import (
    MAX_KNOWN_BYTES,
    Bounds,
    KnownThings,
    is_readable,
    load_known,
    save_known,
    thing_named,
)
from maquette_backend.priors.starter.folder import SHIPPED
from maquette_backend.priors.starter.starter_prior import StarterPrior, load_starter
from maquette_protocol.errors import ErrorCode, MaquetteError
from torch import Tensor

UNSEEN = slice(1, None, 2)
"""The half of the phrases on which bounds are not set."""


def judged(prior: ReadsPrompts, phrases: tuple[str, ...]) -> list[Familiarity]:
    found = [prior.familiarity(phrase) for phrase in phrases]
    return [familiarity for familiarity in found if familiarity is not None]


def test_most_furnishings_are_known_and_nothing_else_is(starter: StarterPrior) -> None:
    inside = Counter(one.verdict for one in judged(starter, FURNISHINGS[UNSEEN]))
    outside = Counter(one.verdict for one in judged(starter, ELSEWHERE[UNSEEN]))
    assert inside["known"] >= 0.9 * inside.total()
    assert inside["unknown"] <= 1
    assert outside["known"] <= 1
    assert outside["unknown"] >= 0.8 * outside.total()


def test_the_prior_says_what_it_makes_of_prompts(starter: StarterPrior) -> None:
    assert isinstance(starter, ReadsPrompts)


@pytest.mark.parametrize(
    ("prompt", "nearest"),
    [
        ("couch", {"couch", "sofa"}),
        ("a red leather armchair", {"armchair"}),
        ("a chesterfield sofa with brass studs", {"sofa", "couch"}),
        ("An umbrella!", {"umbrella"}),
        ("a DSLR photo of a grand piano, best quality", {"grand piano"}),
    ],
)
def test_synonyms_colours_details_and_openings_do_not_hide_the_thing(
    starter: StarterPrior, prompt: str, nearest: set[str]
) -> None:
    found = starter.familiarity(prompt)
    assert found is not None
    assert found.verdict == "known"
    assert found.nearest in nearest


@pytest.mark.parametrize("prompt", ["a dragon", "a red dragon", "a wooden dragon", "a dragon made of oak, front view"])
def test_a_dragon_is_as_unknown_in_any_colour_and_material(starter: StarterPrior, prompt: str) -> None:
    assert starter.familiarity(prompt) == starter.familiarity("dragon")
    assert starter.familiarity(prompt).verdict == "unknown"  # type: ignore[union-attr]


@pytest.mark.parametrize("prompt", ["🐉🔥", "🪑", "???", "12345", "一条红色的龙", "红色的椅子", "красный", "تنين", "\u200d"])
def test_what_has_no_latin_letters_is_near_to_nothing(starter: StarterPrior, prompt: str) -> None:
    assert starter.familiarity(prompt) == Familiarity("", 0.0, "unknown")


def test_an_accent_or_an_emoji_does_not_make_a_text_unreadable(starter: StarterPrior) -> None:
    assert is_readable("café")
    assert is_readable("chair 🪑 红")
    assert not is_readable("红色的椅子 chair")
    assert starter.familiarity("a chair 🪑") == starter.familiarity("chair 🪑")


def test_another_european_language_goes_through_and_is_not_called_known(starter: StarterPrior) -> None:
    for prompt in ("ein roter Drache", "un dragon rojo", "une soucoupe volante"):
        assert starter.familiarity(prompt).verdict != "known"  # type: ignore[union-attr]


@given(st.text(max_size=500))
def test_every_text_is_judged(text: str) -> None:
    found = KnownThings(["chair", "table"], _letters, Bounds(0.4, 0.8)).judge(text)
    assert 0 <= found.similarity <= 1
    assert (found.nearest == "") <= (found.similarity == 0)
    expected = "known" if found.similarity >= 0.8 else "near" if found.similarity >= 0.4 else "unknown"
    assert found.verdict == expected


def _letters(texts: object) -> Tensor:
    """Unit vectors of how often a text has each letter: a meaning that can be told by looking."""
    counts = torch.tensor([[float(text.count(chr(97 + i))) for i in range(26)] for text in texts])  # type: ignore[attr-defined]
    return torch.nn.functional.normalize(counts, dim=-1)


def test_the_verdict_is_the_cosine_to_the_nearest_thing() -> None:
    known = KnownThings(["ab", "cd"], _letters, Bounds(0.6, 0.9))
    expected = {"ba": ("ab", 1.0, "known"), "cx": ("cd", 0.5, "unknown"), "cxd": ("cd", (2 / 3) ** 0.5, "near")}
    for text, (nearest, cosine, verdict) in expected.items():
        found = known.judge(text)
        assert (found.nearest, found.verdict) == (nearest, verdict)
        assert found.similarity == pytest.approx(cosine)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red leather armchair with brass studs, front view", "armchair"),
        ("a wine glass", "wine glass"),
        ("an orange", "orange"),
        ("red", "red"),
        ("chest of drawers", "chest of drawers"),
        ("A photo of\nan OAK  sideboard.", "sideboard"),
        ("on a hill", "on hill"),
        ("with", "with"),
        (", , chair", "chair"),
        ("", ""),
    ],
)
def test_the_thing_itself_is_what_is_compared(prompt: str, expected: str) -> None:
    assert thing_named(prompt) == expected


def test_the_list_comes_back_sorted_and_once(tmp_path: Path) -> None:
    save_known(tmp_path, ["sofa", " chair ", "", "sofa"])
    assert load_known(tmp_path) == ("chair", "sofa")


def test_a_folder_without_a_list_tells_nothing(tmp_path: Path) -> None:
    assert load_known(tmp_path) == ()


@pytest.mark.parametrize("content", [b"x" * (MAX_KNOWN_BYTES + 1), b"chair\n\xff\xfe\n"])
def test_a_list_that_is_too_long_or_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "known.txt").write_bytes(content)
    with pytest.raises(MaquetteError) as caught:
        load_known(tmp_path)
    assert caught.value.code == ErrorCode.INTERNAL


def test_the_shipped_list_is_a_few_hundred_plain_names() -> None:
    names = load_known(SHIPPED)
    assert 200 <= len(names) <= 1000
    assert {"chair", "sofa", "couch", "armchair", "table", "lamp", "vase"} <= set(names)
    assert all(is_readable(name) and name == name.strip().lower() and len(name) <= 40 for name in names)


def test_the_part_of_a_long_text_that_is_read_is_told_and_is_all_that_counts(starter: StarterPrior) -> None:
    short = "a wooden chair with brass studs"
    assert starter.chars_read(f"  {short}\n") == len(short)
    long = " ".join(f"chair{number}" for number in range(400))
    count = starter.chars_read(long)
    assert 0 < count < len(long)
    cut = starter.encode_text([long, long[:count]]).data
    torch.testing.assert_close(cut[0], cut[1])
    assert starter.chars_read(long[:count]) == count


def test_cuts_are_counted_in_characters_of_the_prompt_as_written(starter: StarterPrior) -> None:
    for unit in ("é ", "🐉 ", "龙", "Ａ "):
        long = (unit * 400).strip()
        count = starter.chars_read(long)
        assert 0 < count < len(long)
        assert long[:count].strip()


def _table(prior: ReadsPrompts) -> None:
    for name, phrases in (("furnishings", FURNISHINGS), ("elsewhere", ELSEWHERE)):
        for part, chosen in (("set on", phrases[::2]), ("unseen", phrases[UNSEEN])):
            found = Counter(one.verdict for one in judged(prior, chosen))
            sys.stdout.write(f"{name:12s} {part:7s} {dict(found)}\n")
        ranked = sorted(zip(judged(prior, phrases), phrases, strict=True), key=lambda pair: pair[0].similarity)
        for one, phrase in ranked:
            sys.stdout.write(f"    {one.similarity:.2f} {one.verdict:8s}{phrase[:50]:52s}{one.nearest}\n")


if __name__ == "__main__":
    _table(load_starter(torch.device("cpu"), Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED))

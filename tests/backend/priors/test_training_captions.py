"""Colour words are measured, captions say what is known and no more, and the split leaks no names."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maquette_backend.priors.starter.training.captions import Facts, captions
from maquette_backend.priors.starter.training.color_words import (
    CHANNEL_ORDERS,
    COLORS,
    ColorWords,
    color_word,
    color_words,
    names_of,
)
from maquette_backend.priors.starter.training.material_words import IMPLY_COLOR, Part
from maquette_backend.priors.starter.training.names import plain_name
from maquette_backend.priors.starter.training.split import held_out_models, with_unseen_names

NAMED = {
    (200, 20, 25): "red",
    (130, 20, 25): "red",
    (60, 60, 190): "blue",
    (30, 40, 90): "blue",
    (110, 150, 210): "blue",
    (120, 75, 45): "brown",
    (70, 45, 30): "brown",
    (175, 120, 70): "brown",
    (215, 190, 150): "beige",
    (240, 240, 240): "white",
    (204, 204, 204): "white",
    (250, 245, 230): "white",
    (5, 5, 5): "black",
    (40, 42, 41): "black",
    (128, 128, 128): "grey",
    (90, 95, 92): "grey",
    (230, 130, 30): "orange",
    (235, 215, 60): "yellow",
    (60, 130, 50): "green",
    (35, 70, 30): "green",
    (110, 50, 130): "purple",
    (235, 140, 170): "pink",
}
CHAIR = Facts(
    noun="chair",
    kind="chair",
    category="Office",
    tags=("Seat",),
    materials=(("oak", 0.6), ("metal", 0.2)),
    parts=(Part("cushion", (190, 30, 30)), Part("legs", None), Part("armrests", None)),
    proportion="tall",
)
BROWN = ColorWords("brown", "red", "dark")


@pytest.mark.parametrize(("rgb", "word"), NAMED.items())
def test_plain_colours_have_their_names(rgb: tuple[int, int, int], word: str) -> None:
    assert color_word(np.full((50, 3), rgb) / 255) == word


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_colour_has_a_name_and_greys_have_that_of_a_grey(rgb: tuple[int, int, int]) -> None:
    assert names_of(np.array([rgb]) / 255)[0] in COLORS
    assert names_of(np.full((1, 3), rgb[0]) / 255)[0] in ("black", "grey", "white")


@given(st.integers(0, 255))
def test_a_grey_keeps_its_name_in_all_channel_orders(value: int) -> None:
    grey = np.full((1, 3), value) / 255
    assert len({color_word(grey[:, order]) for order in CHANNEL_ORDERS}) == 1


def test_the_commonest_colour_wins_and_not_the_mean() -> None:
    red, green = np.array([[190, 30, 30]]) / 255, np.array([[60, 130, 50]]) / 255
    assert color_words(np.concatenate([red] * 60 + [green] * 40)) == ColorWords("red", "green", "")
    assert color_word(np.concatenate([red] * 40 + [green] * 60)) == "green"


def test_a_second_colour_is_named_from_15_percent_on() -> None:
    white, blue = np.full((1, 3), 0.95), np.array([[40, 80, 180]]) / 255
    assert color_words(np.concatenate([white] * 84 + [blue] * 16)).second == "blue"
    assert color_words(np.concatenate([white] * 86 + [blue] * 14)).second == ""


def test_dark_and_light_are_told_where_they_are_plain() -> None:
    shades = [color_words(np.array([rgb]) / 255).shade for rgb in ((20, 30, 90), (40, 80, 200), (140, 180, 230))]
    assert shades == ["dark", "", "light"]
    assert color_words(np.full((1, 3), 0.0)).shade == ""


def test_reordered_channels_get_the_colour_they_show() -> None:
    red = np.array([[190, 30, 30]]) / 255
    words = {order: color_word(red[:, order]) for order in CHANNEL_ORDERS}
    assert words[0, 1, 2] == words[0, 2, 1] == "red"
    assert words[1, 0, 2] == words[2, 0, 1] == "green"
    assert words[1, 2, 0] == words[2, 1, 0] == "blue"


def test_all_that_is_known_is_said_first_and_the_bare_noun_last() -> None:
    assert captions(CHAIR, BROWN, 0) == (
        "a tall brown oak chair with a red cushion and armrests",
        "a brown oak chair",
        "a brown and red chair",
        "a brown chair with a red cushion",
        "a brown chair with armrests",
        "a dark brown chair",
        "a tall brown chair",
        "a brown chair made of oak and metal",
        "a brown office chair",
        "a brown chair",
        "an oak chair",
        "a chair in brown",
        "a chair",
    )


def test_reordered_colours_leave_out_what_implies_a_colour_and_recolour_the_parts() -> None:
    told = captions(CHAIR, ColorWords("green", "", ""), CHANNEL_ORDERS.index((1, 0, 2)))
    assert "a green chair made of metal" in told
    assert "a green chair with a cushion" in told
    assert not any("oak" in phrase or "red" in phrase for phrase in told)
    assert "a red chair with a green cushion" in captions(CHAIR, ColorWords("red", "", ""), 2)


def test_a_material_that_shows_little_is_no_adjective() -> None:
    told = captions(Facts("chair", "chair", "", (), (("chrome", 0.3),), (), ""), ColorWords("blue", "", ""), 0)
    assert "a blue chair made of chrome" in told
    assert "a blue chrome chair" not in told


def test_nothing_is_said_twice() -> None:
    box = Facts("wooden box", "other", "Kitchen", (), (("wooden", 1.0),), (), "")
    assert not any(phrase.count("wood") > 1 for phrase in captions(box, BROWN, 0))
    small = Facts("child chair", "chair", "Kitchen", ("Kid",), (), (), "")
    assert "a brown kitchen child chair" in captions(small, BROWN, 0)
    shelf = Facts("bookcase with books", "shelf", "Office", (), (), (Part("books", None),), "")
    assert not any(phrase.count("books") > 1 for phrase in captions(shelf, BROWN, 0))


def test_people_are_not_coloured_but_dressed() -> None:
    told = captions(Facts("sitting man", "other", "Characters", ("Human", "People"), (), (), ""), BROWN, 0)
    assert told[0] == "a sitting man in brown and red clothes"
    assert not any(re.search(r"(brown|red) (sitting|man|person)", phrase) for phrase in told)


FACTS = st.builds(
    Facts,
    noun=st.sampled_from(
        ["chair", "urinal", "armchair", "slippers", "chest of drawers", "oak box", "bed with drawers"]
    ),
    kind=st.sampled_from(["chair", "cabinet", "other"]),
    category=st.sampled_from(["Kitchen", "Office", "Vehicles"]),
    tags=st.lists(st.sampled_from(["Dining", "Japanese", "Seat"]), max_size=2).map(tuple),
    materials=st.lists(st.tuples(st.sampled_from(["oak", "metal", "wooden"]), st.floats(0, 1)), max_size=2).map(tuple),
    parts=st.lists(
        st.builds(Part, st.sampled_from(["seat", "drawers"]), st.none() | st.just((190, 30, 30))), max_size=2
    ).map(tuple),
    proportion=st.sampled_from(["", "tall"]),
)


@given(FACTS, st.sampled_from(COLORS), st.sampled_from(["", "red"]), st.sampled_from(["", "dark"]), st.integers(0, 5))
def test_every_model_has_6_to_14_different_captions_in_good_english(
    facts: Facts, color: str, second: str, shade: str, order: int
) -> None:
    told = captions(facts, ColorWords(color, second, shade), order)
    assert 6 <= len(told) <= 14
    assert len(set(told)) == len(told)
    for phrase in told:
        assert phrase == " ".join(phrase.split())
        assert not re.search(r"\ba [aeio]|\ban [^aeiou]|\ban uri|\ba slippers", phrase)
    assert sum(color in phrase for phrase in told) > len(told) / 2
    if order:
        materials = {m for m, _ in facts.materials if m in IMPLY_COLOR} - set(facts.noun.split(" "))
        assert not any(material in phrase for material in materials for phrase in told)


def test_the_held_out_list_is_whole() -> None:
    models = held_out_models()
    assert len(models) == 65
    assert all(path.endswith(".obj") and "/" in path for _, path in models)


def test_models_with_unseen_names_share_no_name_with_training() -> None:
    names = ["Chair", "chair (old)", "Lamp", "Sofa", "Sofa", "Desk"]
    held_out = [False, True, True, True, False, False]
    assert with_unseen_names(names, held_out) == [False, False, True, False, False, False]
    trained = {plain_name(name) for name, out in zip(names, held_out, strict=True) if not out}
    unseen = {plain_name(n) for n, u in zip(names, with_unseen_names(names, held_out), strict=True) if u}
    assert not trained & unseen

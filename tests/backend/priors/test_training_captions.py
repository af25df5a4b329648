"""Colour words are measured, captions say no more than is known, and the split leaks no names."""

from __future__ import annotations

import numpy as np
import pytest
from maquette_backend.priors.starter.training.captions import (
    CHANNEL_ORDERS,
    PHRASINGS,
    captions,
    color_word,
    plain_name,
    reordered_color_words,
)
from maquette_backend.priors.starter.training.split import held_out_models, with_unseen_names


@pytest.mark.parametrize(
    ("rgb", "word"),
    [
        ((200, 20, 25), "red"),
        ((60, 60, 190), "blue"),
        ((120, 75, 45), "brown"),
        ((240, 240, 240), "white"),
        ((5, 5, 5), "black"),
    ],
)
def test_plain_colours_have_their_names(rgb: tuple[int, int, int], word: str) -> None:
    assert color_word(np.full((50, 3), rgb) / 255) == word


def test_the_commonest_colour_wins_and_not_the_mean() -> None:
    red, green = np.array([[190, 30, 30]]) / 255, np.array([[60, 130, 50]]) / 255
    assert color_word(np.concatenate([red] * 60 + [green] * 40)) == "red"
    assert color_word(np.concatenate([red] * 40 + [green] * 60)) == "green"


def test_reordered_channels_get_the_colour_they_show() -> None:
    picture = np.full((8, 8, 3), 128, np.uint8)
    picture[2:6, 2:6] = np.array([190, 30, 30]) * 0.82
    words = dict(zip(CHANNEL_ORDERS, reordered_color_words(picture, "measured"), strict=True))
    assert words[0, 1, 2] == "measured"
    assert words[0, 2, 1] == "red"
    assert words[1, 0, 2] == words[2, 0, 1] == "green"
    assert words[1, 2, 0] == words[2, 1, 0] in ("blue", "purple")


def test_captions_in_five_phrasings() -> None:
    assert captions("Oak Chair (old)", "Living room", "orange", wooden=True) == [
        "an orange wooden oak chair",
        "an orange oak chair",
        "an oak chair",
        "an orange chair",
        "an orange wooden oak chair, living room",
    ]
    assert len(captions("x", "y", "red", wooden=False)) == PHRASINGS


def test_wood_is_not_said_twice() -> None:
    assert captions("Wooden box", "Kitchen", "brown", wooden=True)[0] == "a brown wooden box"


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

"""A stored recipe is the recipe, is checked like a message, and its hash says when two are equal."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maquette_protocol.codec import Envelope, decode, encode
from maquette_protocol.errors import ProtocolError
from maquette_protocol.messages import SubmitJob
from maquette_protocol.recipe import IDENTITY, Guidance, Recipe
from maquette_protocol.recipe_text import recipe_from_json, recipe_hash, recipe_to_bytes, recipe_to_json
from protocol_samples import COMBINED, GUIDED, JOB, PAINTED_SCENE, RECIPE

SUBJECT = RECIPE.subjects[0]


def test_stored_text_is_the_recipe() -> None:
    assert recipe_from_json(recipe_to_json(RECIPE)) == RECIPE
    assert recipe_from_json(recipe_to_bytes(RECIPE).decode()) == RECIPE


@given(
    st.floats(0, 1), st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=("Cs",)), max_size=50)
)
@settings(max_examples=60, deadline=None)
def test_stored_text_is_exact(strength: float, seed: int, prompt: str) -> None:
    recipe = replace(RECIPE, seed=seed, subjects=(replace(SUBJECT, strength=strength, prompt=prompt),))
    assert recipe_from_json(recipe_to_json(recipe)) == recipe
    assert recipe_hash(recipe_from_json(recipe_to_json(recipe))) == recipe_hash(recipe)


def test_equal_recipes_have_equal_hashes_however_they_were_made() -> None:
    as_integers = replace(RECIPE, subjects=(replace(SUBJECT, world_from_object=IDENTITY),))
    as_floats = replace(RECIPE, subjects=(replace(SUBJECT, world_from_object=tuple(map(float, IDENTITY))),))
    minus_zero = replace(RECIPE, subjects=(replace(SUBJECT, world_from_object=tuple(v or -0.0 for v in IDENTITY)),))
    assert as_integers == as_floats == minus_zero
    assert recipe_hash(as_integers) == recipe_hash(as_floats) == recipe_hash(minus_zero)


def test_fields_at_their_default_do_not_count() -> None:
    """So that a field added by a later version leaves the hashes in the journal as they were."""
    assert recipe_hash(replace(RECIPE, guidance=Guidance(geometry_scale=7.5, appearance_scale=None))) == recipe_hash(
        RECIPE
    )
    assert b"appearance_scale" not in recipe_to_bytes(RECIPE)


CHOICES = (
    *("f4", "i4", "u1", "keep_topology", "texture_only", "color", "pbr", "sun", "point"),
    *("sds", "csd", "vsd", "ism", "method", "uniform", "fantasia_switch", "switch", "square_root", "linear"),
)
"""Texts of which a changed letter is none."""


def _variants(value: Any) -> list[Any]:
    """The value with one leaf changed, for each leaf."""
    if is_dataclass(value) and not isinstance(value, type):
        return [
            replace(value, **{field.name: changed})
            for field in fields(value)
            for changed in _variants(getattr(value, field.name))
        ]
    if isinstance(value, tuple):
        return [(*value[:i], changed, *value[i + 1 :]) for i in range(len(value)) for changed in _variants(value[i])]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1]
    if isinstance(value, str) and value not in CHOICES:
        return [value[:-1] + ("0" if value[-1:] != "0" else "1")]
    return []


@pytest.mark.parametrize("recipe", [RECIPE, PAINTED_SCENE, GUIDED, COMBINED], ids=["1.2", "1.3", "1.4", "1.5"])
def test_every_field_counts(recipe: Recipe) -> None:
    variants = _variants(recipe)
    assert len(variants) > 60
    hashes = {recipe_hash(variant) for variant in variants}
    assert len(hashes | {recipe_hash(recipe)}) == len(variants) + 1


@pytest.mark.parametrize("recipe", [PAINTED_SCENE, GUIDED, COMBINED], ids=["1.3", "1.4", "1.5"])
def test_what_was_added_later_is_stored_and_sent_as_it_is(recipe: Recipe) -> None:
    assert recipe_from_json(recipe_to_json(recipe)) == recipe
    assert decode(encode(Envelope(SubmitJob(JOB, recipe), 1))).message == SubmitJob(JOB, recipe)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        recipe_to_json(RECIPE)[:-5],
        recipe_to_json(RECIPE).replace("7.5", "NaN"),
        recipe_to_json(RECIPE).replace("7.5", "1e999"),
        recipe_to_json(RECIPE).replace("7.5", "1" + "0" * 400),
        recipe_to_json(RECIPE).replace("7.5", '"7.5"'),
        recipe_to_json(RECIPE).replace('"format": 1', '"format": 2'),
        recipe_to_json(RECIPE).replace("1" * 64, "../../x"),
        recipe_to_json(RECIPE) + " " * (1 << 20),
    ],
)
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        recipe_from_json(text)


def test_later_fields_are_skipped() -> None:
    plain = json.loads(recipe_to_json(RECIPE))
    plain["later"] = plain["subjects"][0]["later"] = {"x": [1]}
    assert recipe_from_json(json.dumps(plain)) == RECIPE


def test_unsendable_recipe_is_not_stored() -> None:
    broken: Recipe = replace(RECIPE, seed=1.5)  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match=r"Recipe\.seed"):
        recipe_to_json(broken)

"""The starter that looks at four views of a subject together, asked for by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from job_in_memory import SMALL, Shelf, run
from maquette_backend.priors.catalogue import STARTER, STARTER_VIEWS, prior_names
from maquette_backend.priors.load import load_prior
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Recipe
from refine_shapes import box_chair, closed_and_oriented


def test_a_job_with_four_views_together_gives_another_result_than_with_one() -> None:
    assert {STARTER, STARTER_VIEWS} <= set(prior_names())
    four = load_prior(STARTER_VIEWS, "cpu")
    assert four.settings.views_together == 4
    shelf = Shelf()
    alone = Recipe((shelf.subject(*box_chair(leg=0.12)),), stages=SMALL)
    heard = replace(alone, prior=STARTER_VIEWS, stages=replace(SMALL, views_per_step=4))
    (result,) = run(heard, shelf, priors=lambda _: four).results
    (other,) = run(replace(heard, prior=STARTER), shelf).results
    assert closed_and_oriented(result.triangles)
    assert result.positions.tobytes() != other.positions.tobytes()


def test_a_step_that_four_views_do_not_divide_is_refused_with_what_to_set() -> None:
    shelf = Shelf()
    stages = replace(SMALL, views_per_step=6)
    recipe = Recipe((shelf.subject(*box_chair(leg=0.12)),), stages=stages, prior=STARTER_VIEWS)
    with pytest.raises(MaquetteError, match="4 views at a time; a step has 6") as caught:
        run(recipe, shelf, priors=lambda name: load_prior(name, "cpu"))
    assert caught.value.code == ErrorCode.INVALID_RECIPE
    assert "8" in caught.value.remedy

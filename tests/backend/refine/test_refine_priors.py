"""Several priors in a whole job, and scales that move: each is asked, counts by its weight, and is left as it was."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from job_in_memory import Events, Shelf, Store, equal, run
from maquette_backend.guidance.guided import Guided, Question
from maquette_backend.guidance.sds import Sds
from maquette_backend.priors.keep import LastPrior
from maquette_backend.priors.prior import Prior
from maquette_backend.refine.company import Company, distilling, voices_of
from maquette_backend.refine.events import Wish
from maquette_backend.refine.job import refine_job
from maquette_backend.refine.plan import appearance_settings, scene_settings
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import FurtherPrior, Guidance, MaterialKind, Recipe, Stages, Subject
from refine_shapes import box_uvs, grid_box
from test_refine_guidance import Closed, SmallPrior, traces

sys.path.append(str(Path(__file__).parents[1] / "guidance"))
from tiny_prior import SIDE, tiny_network

STAGES = Stages(geometry_steps=4, appearance_steps=4, views_per_step=2, render_size=2 * SIDE, preview_every=0)
GUIDANCE = Guidance(geometry_scale=3.0, appearance_scale=3.0)


class Large(SmallPrior):
    """It looks at pictures of twice the size, and encodes them as half."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = replace(self.settings, sizes=(2 * SIDE,))

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[-1] == 2 * SIDE
        return torch.nn.functional.avg_pool2d(images, 2)


class Other(SmallPrior):
    """Another network, of pictures of the small size."""

    def __init__(self) -> None:
        super().__init__()
        self.network = tiny_network(seed=7).float()

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[-1] == SIDE
        return images


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(scope="module")
def subject(shelf: Shelf) -> Subject:
    positions, triangles = grid_box(side=2)
    found = shelf.subject(positions, triangles, box_uvs(triangles), mode="keep_topology")
    return replace(found, texture_size=16)


def job(subject: Subject, guidance: Guidance = GUIDANCE, weight: float = 1.0, *further: FurtherPrior) -> Recipe:
    return Recipe((subject,), guidance=guidance, stages=STAGES, prior="large", prior_weight=weight, further_priors=further)


def loader() -> Callable[[str], SmallPrior]:
    made = {"large": Large(), "other": Other()}
    return lambda name: made[name]


def both(weight: float = 1.0, of_other: float = 1.0, **about: object) -> tuple[float, FurtherPrior]:
    return weight, FurtherPrior("other", of_other, geometry_scale=3.0, appearance_scale=3.0, **about)  # type: ignore[arg-type]


def stop_at(number: int) -> Callable[[int], Wish]:
    return lambda asked: "cancel" if asked >= number else "go_on"


def test_every_prior_is_asked_in_every_step_of_both_stages_and_of_all_together(subject: Subject, shelf: Shelf) -> None:
    priors = loader()
    recipe = job(subject, GUIDANCE, *both())
    events = run(replace(recipe, stages=replace(STAGES, scene_steps=2)), shelf, priors=priors)
    assert np.isfinite(events.results[0].positions).all()
    assert [priors(name).evaluations for name in ("large", "other")] == [10, 10]


def test_a_weight_of_zero_is_not_asked_and_changes_nothing(subject: Subject, shelf: Shelf) -> None:
    priors = loader()
    silent = run(job(subject, GUIDANCE, *both(of_other=0.0)), shelf, priors=priors).results[0]
    assert priors("other").evaluations == 0
    assert equal(silent, run(job(subject), shelf, priors=loader()).results[0])


def test_with_its_own_weight_at_zero_only_the_further_prior_moves_the_subject(subject: Subject, shelf: Shelf) -> None:
    """So whatever the first prior is, the result is the same."""
    priors = loader()
    recipe = job(subject, GUIDANCE, *both(weight=0.0))
    one = run(recipe, shelf, priors=priors).results[0]
    assert priors("large").evaluations == 0
    assert priors("other").evaluations == 8
    strange = Large()
    strange.network = tiny_network(seed=9).float()
    other = {"large": strange, "other": Other()}
    assert equal(one, run(recipe, shelf, priors=lambda name: other[name]).results[0])


def test_weights_trade_one_prior_against_the_other(subject: Subject, shelf: Shelf) -> None:
    """From one's result to the other's: the mixture lies nearer to the one that weighs more."""

    def positions(weight: float, of_other: float) -> np.ndarray:
        return run(job(subject, GUIDANCE, *both(weight, of_other)), shelf, priors=loader()).results[0].positions

    first, second = positions(1.0, 0.0), positions(0.0, 1.0)
    rather_first, rather_second = positions(30.0, 1.0), positions(1.0, 30.0)
    assert np.abs(rather_first - first).mean() < np.abs(rather_first - second).mean()
    assert np.abs(rather_second - second).mean() < np.abs(rather_second - first).mean()


def test_a_job_with_several_priors_resumes_to_the_last_bit_and_leaves_them_as_they_were(
    subject: Subject, shelf: Shelf
) -> None:
    guidance = replace(GUIDANCE, cg_lora=True, ama=0.1)
    recipe = job(subject, guidance, *both(1.0, 0.5, method="vsd"))
    priors = loader()
    before = {name: traces(priors(name)) for name in ("large", "other")}
    whole = run(recipe, shelf, priors=priors)
    assert {name: traces(priors(name)) for name in before} == before
    for number in (2, 6):
        store = Store()
        assert run(recipe, shelf, store, stop_at(number), loader()).results == []
        assert store.kept is not None
        kept = {name.split("/")[2] for name in store.kept[0] if name.startswith("stage/guidance/")}
        assert kept == {"first", "other"}
        assert equal(run(recipe, shelf, store, priors=loader()).results[0], whole.results[0])


@pytest.mark.parametrize(
    ("further", "other", "said"),
    [
        (FurtherPrior("other", method="vsd"), Closed(Other()), "The method vsd does not go with “other”"),
        (FurtherPrior("other"), None, "The prior “other” looks at 4 views at a time; a step has 2"),
    ],
)
def test_what_a_further_prior_cannot_do_is_said_before_anything_starts(
    further: FurtherPrior, other: Prior | None, said: str, subject: Subject, shelf: Shelf
) -> None:
    if other is None:
        four = Other()
        four.settings = replace(four.settings, views_together=4)
        other = four
    made: dict[str, Prior] = {"large": Large(), "other": other}
    events, store = Events(), Store()
    with pytest.raises(MaquetteError) as caught:
        refine_job(job(subject, GUIDANCE, 1.0, further), shelf, events, store, lambda name: made[name])
    assert caught.value.code == ErrorCode.INVALID_RECIPE
    assert said in caught.value.message
    assert caught.value.remedy
    assert (events.asked, store.saves) == (0, 0)


# ---- what is held between jobs -------------------------------------------------------------------------
def test_the_priors_of_a_job_are_held_side_by_side_and_those_of_the_last_one_let_go_first(
    subject: Subject, shelf: Shelf
) -> None:
    made: dict[str, Callable[[], SmallPrior]] = {"large": Large, "other": Other}
    loaded: list[tuple[str, int]] = []

    def load(name: str) -> Prior:
        loaded.append((name, len(priors._kept)))
        return made[name]()

    priors = LastPrior(load)
    several = replace(job(subject, GUIDANCE, *both()), stages=replace(STAGES, geometry_steps=0, appearance_steps=1))
    for _ in range(2):
        run(several, shelf, priors=priors)
    assert loaded == [("large", 0), ("other", 1)], "the second job loads nothing"
    run(replace(several, prior="other", further_priors=()), shelf, priors=priors)
    assert list(priors._kept) == ["other"]
    run(replace(several, further_priors=()), shelf, priors=priors)
    assert loaded[2:] == [("large", 0)], "the old one was let go before"


# ---- scales that move -----------------------------------------------------------------------------------
@pytest.mark.parametrize("stage", ["geometry", "appearance"])
def test_a_scale_that_ends_where_it_begins_is_the_plain_one_and_another_is_not(
    stage: str, subject: Subject, shelf: Shelf
) -> None:
    def refined(**changes: float) -> object:
        return run(job(subject, replace(GUIDANCE, **changes)), shelf, priors=loader()).results[0]

    plain, name = refined(), f"{stage}_scale_end"
    assert equal(plain, refined(**{name: 3.0}))  # type: ignore[arg-type]
    assert not equal(plain, refined(**{name: 0.5}))  # type: ignore[arg-type]


def test_the_scale_of_each_step_lies_on_the_line(subject: Subject, shelf: Shelf) -> None:
    """Of the settings that a step gets, the overall colour's emphasis among them."""
    from maquette_backend.refine.plan import appearance_settings, geometry_settings
    from maquette_backend.refine.stage_settings import at_stage

    guidance = replace(GUIDANCE, geometry_scale=100.0, geometry_scale_end=20.0, appearance_scale_end=9.0)
    recipe, advice = job(subject, guidance), Large().settings
    shape, looks = geometry_settings(recipe, advice), appearance_settings(recipe, advice)
    assert [at_stage(shape, progress)[1].scale for progress in (0.25, 0.5, 1.0)] == [80.0, 60.0, 20.0]
    assert at_stage(looks, 0.5)[1].scale == 6.0
    early = at_stage(looks, 0.1)[1].scale
    assert early == pytest.approx(3.6 * advice.overall_color_emphasis), "the overall colour's emphasis goes on top"


def test_a_further_prior_is_guided_in_a_stage_as_it_advises_for_what_is_painted(subject: Subject) -> None:
    """Full materials by ``material_scale``, also with all together; what the recipe asks of it goes before."""
    advice = replace(Other().settings, appearance_scale=4.0, material_scale=1.25)
    other = Other()
    other.settings = advice
    full = replace(subject, material="pbr")

    def scales(one: Subject, further: FurtherPrior) -> list[float]:
        recipe = job(one, GUIDANCE, 1.0, further)
        company = Company(Large(), ((further, other),))
        with distilling(recipe, company, "appearance", "") as distiller:
            own = partial(appearance_settings, material=one.material)
            heard = [voices_of(recipe, distiller, settings) for settings in (own, scene_settings)]
        assert heard[1].settings["other"].base_share == 0, "what all are made of is settled"
        return [voices.settings["other"].distillation.scale for voices in heard]

    assert scales(full, FurtherPrior("other")) == [1.25, 1.25]
    assert scales(subject, FurtherPrior("other")) == [4.0, 4.0]
    assert scales(full, FurtherPrior("other", appearance_scale=2.0)) == [2.0, 2.0]


@pytest.mark.parametrize(("material", "scale"), [("color", 4.0), ("pbr", 1.25)])
def test_a_job_asks_a_further_prior_at_the_scale_of_what_is_painted(
    material: MaterialKind, scale: float, subject: Subject, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    other = Other()
    other.settings = replace(other.settings, appearance_scale=4.0, material_scale=1.25, overall_color_emphasis=1.0)
    guide = Sds.guide

    def noted(self: Sds, question: Question) -> Guided:
        if question.prior is other:
            asked.append(question.settings.scale)
        return guide(self, question)

    monkeypatch.setattr(Sds, "guide", noted)
    priors = {"large": Large(), "other": other}
    painted = replace(subject, mode="texture_only", material=material)
    run(job(painted, GUIDANCE, 1.0, FurtherPrior("other")), shelf, priors=lambda name: priors[name])
    assert min(asked) == scale
    assert asked[-1] == scale, "the overall colour's emphasis is over"

"""The recipe's way of distilling at work in whole jobs: it resumes to the last bit, and leaves a shared prior as it was."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from job_in_memory import Events, Shelf, Store, equal, run
from maquette_backend.guidance.from_recipe import distiller_of
from maquette_backend.guidance.sds import Sds
from maquette_backend.priors.prior import Condition, Modality, Prior, Settings, Views
from maquette_backend.refine.events import Progress, Wish
from maquette_backend.refine.job import refine_job
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Guidance, Recipe, Stages, Subject
from refine_shapes import box_uvs, grid_box
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1] / "guidance"))
from tiny_prior import SIDE, TinyPrior

STAGES = Stages(geometry_steps=9, appearance_steps=9, views_per_step=2, render_size=SIDE, preview_every=0)
VSD = Guidance(method="vsd")
TAUGHT = Guidance(cg_lora=True, ama=0.1)
BOTH = Guidance(method="vsd", geometry_method="ism", cg_lora=True, ama=0.1, cg_lora_denoising=0.5, perp_neg=True)
LEARNING = {"vsd": VSD, "cg-lora": TAUGHT, "all of it": BOTH}


class SmallPrior(TinyPrior):
    """The tiny network in single precision, as jobs compute."""

    def __init__(self) -> None:
        super().__init__()
        self.settings: Settings = replace(
            self.settings, sizes=(SIDE,), modalities=("color",), camera_conditioned=False, geometry_scale=3.0, appearance_scale=3.0
        )
        self.network.float()
        self.evaluations = 0

    def encode_text(self, texts: list[str]) -> Condition:
        return Condition(super().encode_text(texts).data.float())

    def predict_noise(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        self.evaluations += 1
        return super().predict_noise(noisy, time, text, views, modality)


def traces(prior: SmallPrior) -> dict[str, object]:
    """Everything that guidance could have left in a network: values, processors, hooks, what learns."""
    network = prior.denoiser()
    modules = list(network.modules())
    picture, words = torch.full((1, 3, SIDE, SIDE), 0.3), prior.encode_text(["a lamp"]).data
    return {
        "values": {name: value.numpy().tobytes() for name, value in network.state_dict().items()},
        "processors": [getattr(module, "processor", None) for module in modules],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in modules],
        "learns": [parameter.requires_grad or parameter.grad is not None for parameter in network.parameters()],
        "output": network(picture, 500.0, words).sample.numpy().tobytes(),
    }


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(scope="module")
def subject(shelf: Shelf) -> Subject:
    positions, triangles = grid_box(side=2)
    found = shelf.subject(positions, triangles, box_uvs(triangles), mode="keep_topology")
    return replace(found, texture_size=16)


def job(subject: Subject, guidance: Guidance, **stages: int) -> Recipe:
    return Recipe((subject,), guidance=guidance, stages=replace(STAGES, **stages))


def stop_at(number: int) -> Callable[[int], Wish]:
    def wish(asked: int) -> Wish:
        return "cancel" if asked >= number else "go_on"

    return wish


# ---- checkpoints -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", LEARNING)
def test_interrupted_and_resumed_equals_uninterrupted(name: str, subject: Subject, shelf: Shelf) -> None:
    """Within geometry, or within appearance; each goes past the next step at which CG-LoRA learns."""
    recipe = job(subject, LEARNING[name])
    whole = run(recipe, shelf, priors=lambda _: SmallPrior())
    for number in (3,) if name == "cg-lora" else (12,):
        store = Store()
        assert run(recipe, shelf, store, stop_at(number), lambda _: SmallPrior()).results == []
        resumed = run(recipe, shelf, store, priors=lambda _: SmallPrior())
        assert equal(resumed.results[0], whole.results[0])
        assert [a.loss for a in resumed.reports[-5:]] == [a.loss for a in whole.reports[-5:]]


def test_a_material_learns_on_from_the_volume_to_the_maps(subject: Subject, shelf: Shelf) -> None:
    """One way through both: what it has learned of the volume it knows while the maps learn."""
    recipe = job(replace(subject, material="pbr"), VSD, geometry_steps=0, appearance_steps=4, scene_steps=2)
    whole = run(recipe, shelf, priors=lambda _: SmallPrior())
    store = Store()
    assert run(recipe, shelf, store, stop_at(3), lambda _: SmallPrior()).results == []
    resumed = run(recipe, shelf, store, priors=lambda _: SmallPrior())
    assert equal(resumed.results[0], whole.results[0])
    assert np.array_equal(resumed.results[0].normal, whole.results[0].normal)  # type: ignore[arg-type]


def test_what_guidance_learns_is_in_the_checkpoint_and_with_plain_sds_there_is_nothing(
    subject: Subject, shelf: Shelf
) -> None:
    def kept(guidance: Guidance) -> dict[str, np.ndarray]:
        store = Store()
        run(job(subject, guidance), shelf, store, stop_at(2), lambda _: SmallPrior())
        assert store.kept is not None
        return {name: array for name, array in store.kept[0].items() if name.startswith("stage/guidance/")}

    assert kept(Guidance()) == {}
    ups = [array for name, array in kept(TAUGHT).items() if "/weights/up" in name]
    assert ups
    assert any(np.any(up) for up in ups), "alignment has moved the adapters"


# ---- a shared prior ----------------------------------------------------------------------------------
class Failing(Events):
    """Breaks where its tenth progress would be reported."""

    def progress(self, progress: Progress) -> None:
        super().progress(progress)
        if len(self.reports) == 10:
            raise RuntimeError("planted")


@pytest.mark.parametrize("ending", ["finished", "cancelled", "failed"])
def test_a_prior_is_as_it_was_however_a_job_ends(ending: str, subject: Subject, shelf: Shelf) -> None:
    prior = SmallPrior()
    before = traces(prior)
    recipe = job(subject, BOTH, geometry_steps=4, appearance_steps=4, scene_steps=2)
    if ending == "failed":
        with pytest.raises(RuntimeError, match="planted"):
            refine_job(recipe, shelf, Failing(), Store(), lambda _: prior)
    else:
        events = run(recipe, shelf, None, stop_at(6) if ending == "cancelled" else stop_at(99), lambda _: prior)
        assert len(events.results) == (ending == "finished")
    assert traces(prior) == before


def test_plain_sds_puts_nothing_in_and_asks_once_a_step(subject: Subject, shelf: Shelf) -> None:
    prior = SmallPrior()
    processors = [getattr(module, "processor", None) for module in prior.denoiser().modules()]

    def watched(asked: int) -> Wish:
        assert [getattr(module, "processor", None) for module in prior.denoiser().modules()] == processors
        return "go_on"

    run(job(subject, Guidance()), shelf, None, watched, lambda _: prior)
    assert prior.evaluations == STAGES.geometry_steps + STAGES.appearance_steps
    assert distiller_of(Guidance(), "geometry", prior, "a chair") == Sds()


# ---- what a recipe asks for, happens -------------------------------------------------------------------
def test_each_method_takes_a_subject_elsewhere(subject: Subject, shelf: Shelf) -> None:
    asked: dict[str, Guidance] = {name: Guidance(method=name) for name in ("sds", "csd", "vsd", "ism", "sjc")}
    asked |= {
        "perp-neg": Guidance(perp_neg=True),
        "cg-lora": TAUGHT,
        "weighting": Guidance(appearance_weighting="fantasia_switch"),
        "rescale": Guidance(rescale=0.0),
    }
    looks = {}
    for name, guidance in asked.items():
        recipe = job(subject, guidance, geometry_steps=0, appearance_steps=3)
        found = run(recipe, shelf, priors=lambda _: SmallPrior()).results[0].base_color
        assert found is not None
        looks[name] = found.tobytes()
    assert len(set(looks.values())) == len(looks)


def test_the_geometrys_own_method_is_the_geometrys(subject: Subject, shelf: Shelf) -> None:
    def positions(guidance: Guidance) -> np.ndarray:
        recipe = job(subject, guidance, geometry_steps=3, appearance_steps=0)
        return run(recipe, shelf, priors=lambda _: SmallPrior()).results[0].positions

    ism = positions(Guidance(method="ism"))
    assert np.array_equal(positions(Guidance(method="vsd", geometry_method="ism")), ism)
    assert not np.array_equal(positions(Guidance()), ism)


# ---- what a prior can't do -----------------------------------------------------------------------------
class Closed:
    """A prior that lets nobody into its network, and knows cameras."""

    def __init__(self, inner: SmallPrior) -> None:
        self.settings = replace(inner.settings, camera_conditioned=True)
        self.identity = "closed"


class Attentionless(SmallPrior):
    """A network without any attention."""

    def denoiser(self) -> nn.Module:
        return nn.Conv2d(3, 3, 1)


@pytest.mark.parametrize(
    ("guidance", "prior", "said"),
    [
        (Guidance(method="vsd"), Closed(SmallPrior()), "The method vsd adds to the prior's network, and “mine”"),
        (Guidance(geometry_method="vsd"), Closed(SmallPrior()), "The method vsd"),
        (TAUGHT, Closed(SmallPrior()), "CG-LoRA adds to the prior's network, and “mine” lets nothing into it"),
        (Guidance(perp_neg=True), Closed(SmallPrior()), "“mine” is told the camera itself"),
        (Guidance(image_loss=0.1), SmallPrior(), "decoded pictures, which “mine”"),
        (TAUGHT, Attentionless(), "CG-LoRA does not go with “mine”: the network has no cross-attention"),
        (VSD, Attentionless(), "The method vsd does not go with “mine”: the network has no time embedding"),
    ],
)
def test_what_a_prior_cannot_do_is_said_before_anything_starts(
    guidance: Guidance, prior: Prior, said: str, subject: Subject, shelf: Shelf
) -> None:
    events, store = Events(), Store()
    with pytest.raises(MaquetteError) as caught:
        refine_job(replace(job(subject, guidance), prior="mine"), shelf, events, store, lambda _: prior)
    assert caught.value.code == ErrorCode.INVALID_RECIPE
    assert said in caught.value.message
    assert caught.value.remedy
    assert (events.asked, events.results, store.saves) == (0, [], 0)

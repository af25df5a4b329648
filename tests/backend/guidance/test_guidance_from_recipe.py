"""What a recipe says of guidance is what guidance does: times, weightings, distillers, their settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from gaussian_prior import GaussianPrior, plain_settings
from maquette_backend.guidance import weights
from maquette_backend.guidance.build import build_distiller
from maquette_backend.guidance.camera_guided import CameraGuided, CgLoraSettings
from maquette_backend.guidance.catalogue import method_names
from maquette_backend.guidance.csd import Csd
from maquette_backend.guidance.from_recipe import check_guidance_fits, distiller_of, times_of, weighting_of
from maquette_backend.guidance.guided import Guided, distillation_loss
from maquette_backend.guidance.ism import Ism
from maquette_backend.guidance.perp_neg import PerpNeg
from maquette_backend.guidance.schedule import SquareRootTimes, SwitchedTimes, TimeSchedule
from maquette_backend.guidance.sds import Sds
from maquette_backend.guidance.sjc import Sjc
from maquette_backend.guidance.vsd import Vsd
from maquette_backend.refine.distil import stage_loss
from maquette_backend.refine.plan import appearance_settings, geometry_settings
from maquette_protocol.recipe import Guidance, Recipe, Times
from tiny_prior import TinyPrior
from torch import Tensor


class Decodable(GaussianPrior):
    """Its encoding is the picture."""

    def decode_image(self, encoded: Tensor) -> Tensor:
        return encoded


ADVICE = TimeSchedule((0.2, 0.9), (0.2, 0.5))
EXACT = GaussianPrior(lambda text, views, modality: torch.zeros(1), 0.4)


def test_every_method_builds_its_own_distiller() -> None:
    kinds = dict(zip(method_names(), (Sds, Csd, Vsd, Ism, Sjc), strict=True))
    for name, kind in kinds.items():
        prior = TinyPrior()
        distiller = distiller_of(Guidance(method=name), "appearance", prior, "a chair")
        try:
            assert type(distiller) is kind
        finally:
            distiller.close()


def test_geometry_has_a_method_of_its_own_where_one_is_named() -> None:
    guidance = Guidance(method="csd", geometry_method="ism")
    assert isinstance(distiller_of(guidance, "geometry", EXACT, ""), Ism)
    assert isinstance(distiller_of(guidance, "appearance", EXACT, ""), Csd)
    assert isinstance(distiller_of(Guidance(method="csd"), "geometry", EXACT, ""), Csd)


def test_cg_lora_learns_as_the_recipe_says() -> None:
    prior = TinyPrior()
    guidance = Guidance(method="sjc", cg_lora=True, ama=0.5, cg_lora_denoising=2.0, ama_start=0.25)
    distiller = distiller_of(guidance, "geometry", prior, "a chair")
    assert isinstance(distiller, CameraGuided)
    distiller.close()
    assert distiller.settings == CgLoraSettings(alignment_weight=0.5, denoising_weight=2.0, start=0.25)


def test_perp_neg_hears_the_prompt_with_each_side() -> None:
    prior = TinyPrior()
    distiller = distiller_of(Guidance(perp_neg=True), "geometry", prior, "a chair")
    assert isinstance(distiller, Sds)
    assert isinstance(distiller.estimator, PerpNeg)
    texts = distiller.estimator.texts
    for side, row in (("front", texts.front), ("side", texts.side), ("back", texts.back)):
        assert torch.equal(row, prior.encode_text([f"a chair, {side} view"]).data)


def test_what_is_built_before_a_failure_is_taken_out_again() -> None:
    """VSD is in the network by the time that CG-LoRA finds it can't be."""
    prior = TinyPrior()
    cross = next(module for name, module in prior.network.named_modules() if name.endswith("attn2"))
    cross.to_q = torch.nn.Conv1d(1, 1, 1)  # type: ignore[assignment]
    before = [getattr(module, "processor", None) for module in prior.network.modules()]
    with pytest.raises(TypeError, match="only linear maps"):
        build_distiller("vsd", prior, "a chair", CgLoraSettings())
    assert [getattr(module, "processor", None) for module in prior.network.modules()] == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in prior.network.modules())


def test_without_a_wish_times_are_the_priors() -> None:
    assert times_of(None, ADVICE, 0.5) is ADVICE


def test_times_move_switch_or_fall() -> None:
    asked = Times((0.1, 0.98), (0.3, 0.5))
    linear, switched, fallen = (times_of(replace(asked, change=how), ADVICE, 0.4) for how in ("linear", "switch", "square_root"))
    assert linear == TimeSchedule((0.1, 0.98), (0.3, 0.5))
    assert linear.bounds(0.5) == pytest.approx((0.2, 0.74))
    assert [switched.bounds(progress) for progress in (0.0, 0.39, 0.4, 1.0)] == [(0.1, 0.98)] * 2 + [(0.3, 0.5)] * 2
    assert fallen == SquareRootTimes(0.98, 0.3)


def test_switched_times_are_drawn_within_their_bounds_as_a_schedule_draws_them() -> None:
    switched = SwitchedTimes((0.1, 0.9), (0.2, 0.3), 0.5)
    for progress, bounds in ((0.2, (0.1, 0.9)), (0.7, (0.2, 0.3))):
        drawn = switched.sample(progress, 64, torch.Generator().manual_seed(1))
        same = TimeSchedule(bounds, bounds).sample(progress, 64, torch.Generator().manual_seed(1))
        assert torch.equal(drawn, same)


def test_weightings_are_the_modules_functions() -> None:
    assert weighting_of("method", 0.5) is None
    for name in ("one_minus_alpha_bar", "uniform", "fantasia_early", "fantasia_late"):
        assert weighting_of(name, 0.5) is getattr(weights, name)
    switch = weighting_of("fantasia_switch", 0.25)
    assert switch is not None
    alpha, sigma = torch.tensor([0.8]), torch.tensor([0.6])
    assert torch.equal(switch(alpha, sigma, 0.24), weights.fantasia_early(alpha, sigma, 0.24))
    assert torch.equal(switch(alpha, sigma, 0.25), weights.fantasia_late(alpha, sigma, 0.25))


def test_stages_take_what_the_recipe_says_and_else_the_priors_advice() -> None:
    advice = replace(plain_settings(modalities=("color",)), overall_color_times=(0.9, 1.0))
    asked = Guidance(
        rescale=0.1, geometry_times=Times((0.5, 0.6)), appearance_times=Times((0.7, 0.8)),
        geometry_weighting="uniform", appearance_weighting="fantasia_late", image_loss=0.02,
    )  # fmt: skip
    shape, looks = geometry_settings(Recipe((), guidance=asked), advice), appearance_settings(Recipe((), guidance=asked), advice)
    assert (shape.schedule.bounds(0.0), looks.schedule.bounds(0.0)) == ((0.5, 0.6), (0.7, 0.8))
    assert (shape.distillation.weighting, looks.distillation.weighting) == (weights.uniform, weights.fantasia_late)
    assert (shape.distillation.rescale, looks.distillation.rescale) == (0.1, 0.1)
    assert (shape.image_loss, looks.image_loss) == (0.02, 0.02)
    assert (looks.base_times, looks.base_emphasis) == (None, 1.0)
    plain = appearance_settings(Recipe(()), advice)
    assert plain.schedule == TimeSchedule(advice.appearance_time_start, advice.appearance_time_end)
    assert (plain.base_times, plain.base_emphasis) == ((0.9, 1.0), advice.overall_color_emphasis)
    assert (plain.distillation.weighting, plain.distillation.rescale, plain.image_loss) == (None, 0.5, 0.0)


def test_a_priors_weighting_is_for_plain_sds_at_its_own_times() -> None:
    advice = replace(plain_settings(modalities=("color",)), geometry_weighting="clean_distance")

    def weighting(**asked: Any) -> weights.Weighting | None:
        return geometry_settings(Recipe((), guidance=Guidance(**asked)), advice).distillation.weighting

    assert weighting() is weighting(method="csd", geometry_method="sds") is weights.clean_distance
    assert weighting(geometry_weighting="uniform") is weights.uniform
    assert weighting(method="csd") is weighting(geometry_times=Times((0.5, 0.6))) is None
    assert geometry_settings(Recipe(()), plain_settings(modalities=("color",))).distillation.weighting is None
    assert appearance_settings(Recipe(()), advice).distillation.weighting is None


def test_a_stages_loss_has_the_image_loss_on_top_where_it_is_asked_for() -> None:
    prior = Decodable(lambda text, views, modality: torch.zeros(1), 0.4)
    settings = geometry_settings(Recipe((), guidance=Guidance(image_loss=0.5)), plain_settings(modalities=("color",)))
    image, target = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    guided = Guided(target, torch.full((2, 1, 1, 1), 0.7))
    alone = stage_loss(image, image, guided, prior, replace(settings, image_loss=0.0))
    assert torch.equal(alone, distillation_loss(image, guided))
    # the encoding is the picture itself, so both distances are the same
    torch.testing.assert_close(stage_loss(image, image, guided, prior, settings), 1.5 * alone)


def test_what_any_prior_can_do_is_not_refused() -> None:
    for method in ("sds", "csd", "ism", "sjc"):
        check_guidance_fits(Guidance(method=method), EXACT, "exact")
    check_guidance_fits(Guidance(method="vsd", cg_lora=True, ama=0.1), TinyPrior(), "tiny")

"""The memory plan, and half precision that overflows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel
from maquette_backend.priors.control_folder import ControlFolder
from maquette_backend.priors.diffusers.memory import GIB, MemoryPlan, Needs, plan_memory
from maquette_backend.priors.diffusers.needs import needs_of
from maquette_backend.priors.diffusers.precision import Careful, half_for, wider_than
from maquette_backend.priors.families import MULTI_VIEW, STABLE_DIFFUSION, STABLE_DIFFUSION_3, STABLE_DIFFUSION_XL
from maquette_backend.priors.model_folder import ModelFolder, Weights
from maquette_protocol.errors import ErrorCode, MaquetteError
from torch import nn

CPU = torch.device("cpu")


MILLION = 10**6
SIZES = {
    "stable-diffusion": (STABLE_DIFFUSION, 512, torch.float16, {"unet": 860, "vae": 84, "text_encoder": 123}),
    "multi-view": (MULTI_VIEW, 256, torch.float16, {"unet": 868, "vae": 84, "text_encoder": 340}),
    "xl": (
        STABLE_DIFFUSION_XL,
        1024,
        torch.bfloat16,
        {"unet": 2567, "vae": 84, "text_encoder": 123, "text_encoder_2": 695},
    ),
    "three": (
        STABLE_DIFFUSION_3,
        1024,
        torch.float16,
        {"transformer": 2028, "vae": 84, "text_encoder": 124, "text_encoder_2": 695, "text_encoder_3": 4762},
    ),
}
"""Families, native sizes, the VAE's type, and millions of parameters of the published models."""


CONTROL = ControlFolder(Path(), {}, Weights(STABLE_DIFFUSION.parts[0], "", (), 361 * MILLION), ())
"""For Stable Diffusion 1."""
SD_FOLDER = ModelFolder(Path(), STABLE_DIFFUSION, (Weights(STABLE_DIFFUSION.parts[0], "", (), 860 * MILLION),), ())


def plan_on(gib, model, controls=()):
    """On a card of so many GiB, half a GiB of which the driver and a desktop have."""
    family, size, dtype, parameters = SIZES[model]
    weights = tuple(
        Weights(part, "", (), parameters[part.name] * MILLION) for part in family.parts if part.name in parameters
    )
    needs = needs_of(ModelFolder(Path(), family, weights, ()), size, dtype, controls)
    return plan_memory(gib * GIB - GIB // 2, needs, 4, together=4 if family is MULTI_VIEW else 1)


@pytest.mark.parametrize(
    ("gib", "model", "plan"),
    [
        (8, "stable-diffusion", MemoryPlan("stays", 8, True, False)),
        (8, "multi-view", MemoryPlan("stays", 8, False, False)),
        (12, "stable-diffusion", MemoryPlan("stays", 8, False, False)),
        (12, "xl", MemoryPlan("stays", 8, True, True)),
        (12, "three", MemoryPlan("processor", 8, True, False)),
        (24, "stable-diffusion", MemoryPlan("stays", 8, False, False)),
        (24, "xl", MemoryPlan("stays", 8, True, False)),
        (24, "three", MemoryPlan("stays", 8, True, False)),
    ],
)
def test_published_models_on_cards_of_three_sizes(gib, model, plan):
    assert plan_on(gib, model) == plan


@pytest.mark.parametrize(
    ("gib", "count", "plan"),
    [
        (12, 1, MemoryPlan("stays", 8, False, False)),
        (12, 2, MemoryPlan("stays", 8, True, False)),
        (7, 0, MemoryPlan("stays", 8, True, False)),
        (7, 4, MemoryPlan("visits", 4, True, True)),
    ],
)
def test_control_nets_beside_a_model_are_counted(gib, count, plan):
    assert plan_on(gib, "stable-diffusion", [CONTROL] * count) == plan


def test_a_model_that_would_fit_without_its_control_nets_says_so():
    assert plan_on(11, "xl") == MemoryPlan("visits", 8, True, True)
    with pytest.raises(MaquetteError, match="this model with its ControlNets needs") as caught:
        plan_on(11, "xl", [replace(CONTROL, weights=replace(CONTROL.weights, parameters=1246 * MILLION))])
    assert "Leave a ControlNet out" in caught.value.remedy


def test_a_control_nets_share_is_what_its_full_size_adds_to_the_skip_connections():
    """By shapes alone: on ``meta`` nothing is computed."""
    with torch.device("meta"):
        network = ControlNetModel(cross_attention_dim=768, attention_head_dim=8)
        shown, text, picture = torch.zeros(1, 4, 64, 64), torch.zeros(1, 77, 768), torch.zeros(1, 3, 512, 512)
        down, middle = network(shown, torch.zeros(1), text, picture, return_dict=False)
    added = 2 * (sum(one.numel() for one in down) + middle.numel())
    assert sum(one.numel() for one in network.parameters()) == pytest.approx(CONTROL.weights.parameters, rel=0.01)
    needs = [needs_of(SD_FOLDER, 512, torch.float16, [CONTROL] * count) for count in (0, 1)]
    assert needs[1].denoising - needs[0].denoising == pytest.approx(2 * added, rel=0.01)
    assert needs[1].controls == 2 * CONTROL.weights.parameters


@pytest.mark.parametrize("model", ["xl", "three"])
def test_the_large_models_need_more_than_8_gib_and_say_so(model):
    with pytest.raises(MaquetteError, match=r"has 7\.5 GiB free; this model needs \d+\.\d GiB"):
        plan_on(8, model)


@pytest.mark.parametrize("gib", [4, 6, 8, 12, 16, 24, 48])
def test_more_memory_never_gives_a_slower_plan(gib):
    needs = Needs(5 * GIB // 2, GIB // 4, GIB, GIB // 4, GIB, GIB // 2)

    def speed(free):
        try:
            plan = plan_memory(free, needs, 4)
        except MaquetteError:
            return (0, 0, 0, 0)
        places = ("processor", "visits", "stays")
        return plan.samples, not plan.checkpoint_vae, not plan.slice_vae, places.index(plan.text)

    assert speed(gib * GIB) <= speed((gib + 2) * GIB)


def test_a_model_that_does_not_fit_says_how_much_it_needs():
    with pytest.raises(MaquetteError, match=r"has 2\.0 GiB free; this model needs 7\.5 GiB") as caught:
        plan_memory(2 * GIB, Needs(5 * GIB, GIB, GIB // 2, GIB // 4, GIB, GIB // 2), 4)
    assert caught.value.code == ErrorCode.OUT_OF_MEMORY


def test_views_that_are_seen_together_are_never_split():
    needs = Needs(GIB, GIB // 8, GIB // 8, GIB // 2, GIB // 4, GIB // 8)
    for free in range(4 * GIB + GIB // 2, 12 * GIB, GIB // 4):
        assert plan_memory(free, needs, 4, together=4).samples in (4, 8)
    with pytest.raises(MaquetteError):
        plan_memory(3 * GIB, needs, 4, together=4)
    assert plan_memory(3 * GIB, needs, 4, together=1).samples == 1


class Loud(nn.Module):
    """Its sum of squares overflows float16 and nothing wider."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((4,), 300.0), requires_grad=False)

    def forward(self, given):
        return given * self.weight * self.weight


def test_what_overflows_in_half_precision_runs_wider_once_and_stays_so(caplog):
    network = Loud()
    careful = Careful(network, torch.float16, CPU, "network of loud")
    used = []

    def run(dtype):
        used.append(dtype)
        return network(torch.ones(4).to(dtype))

    torch.testing.assert_close(careful(run, torch.ones(4)).float(), torch.full((4,), 9e4))
    assert used == [torch.float16, torch.float32]
    careful(run, torch.ones(4))
    assert used[2:] == [torch.float32]
    assert "network of loud overflows in float16; it runs in float32 now" in caplog.text


def test_numbers_that_are_never_finite_end_the_job_and_name_the_part():
    network = Loud()
    network.weight[0] = torch.nan
    careful = Careful(network, torch.float16, CPU, "VAE of broken")
    with pytest.raises(MaquetteError, match="The VAE of broken gives numbers that are not finite in float32") as caught:
        careful(lambda dtype: network(torch.ones(4).to(dtype)), torch.ones(4))
    assert "models verify" in caught.value.remedy
    diverged = torch.tensor([torch.inf])
    with pytest.raises(MaquetteError, match="was given is not finite"):
        careful(lambda dtype: diverged, diverged)


def test_types_of_this_machine():
    assert half_for(CPU) == torch.float32
    assert half_for(torch.device("cuda")) == torch.float16
    assert wider_than(torch.float32, CPU) is None
    assert wider_than(torch.bfloat16, CPU) == torch.float32
    assert MemoryPlan("stays", 8, False, False) == plan_memory(24 * GIB, Needs(GIB, 1, 1, 1, 1, 1), 4)

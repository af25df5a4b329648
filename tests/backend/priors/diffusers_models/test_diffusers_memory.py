"""The memory plan, and half precision that overflows."""

from __future__ import annotations

import pytest
import torch
from maquette_backend.priors.diffusers.memory import GIB, MemoryPlan, Needs, plan_memory
from maquette_backend.priors.diffusers.precision import Careful, half_for, wider_than
from maquette_protocol.errors import ErrorCode, MaquetteError
from torch import nn

CPU = torch.device("cpu")


@pytest.mark.parametrize("gib", [4, 6, 8, 12, 16, 24, 48])
def test_more_memory_never_gives_a_slower_plan(gib):
    needs = Needs(5 * GIB // 2, GIB // 4, GIB, GIB // 4, GIB, GIB // 2)

    def speed(free):
        try:
            plan = plan_memory(free, needs, 4)
        except MaquetteError:
            return (0, 0, 0, 0)
        return plan.samples, plan.keep_text, not plan.slice_vae, not plan.checkpoint_vae

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
    assert MemoryPlan(True, 8, False, False) == plan_memory(24 * GIB, Needs(GIB, 1, 1, 1, 1, 1), 4)

"""Company: what is measured is the exchange of neighbours, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from maquette_backend.priors.starter.network import NetworkConfig, build_network
from maquette_backend.priors.starter.training.evaluation import together
from maquette_backend.priors.starter.training.evaluation.together import TogetherEffort, company_rows
from maquette_backend.priors.starter.views_together import VIEWS, show_together
from small_views import bytes_as_words, small_views

TINY = NetworkConfig(channels=(16, 24, 32), embedding_size=32)


@pytest.mark.parametrize(("models", "turns"), [(4, 1), (5, 2), (9, 3)])
def test_strangers_are_four_models_from_the_same_sides(models: int, turns: int) -> None:
    order = together._company(models, turns)
    assert sorted(order) == list(range(models * turns * VIEWS))
    for group in order.reshape(-1, VIEWS):
        model, turn, side = np.unravel_index(group, (models, turns, VIEWS))
        assert len(set(model)) == VIEWS
        assert len(set(turn)) == 1
        assert list(side) == list(range(VIEWS))


def test_a_network_that_ignores_its_neighbours_scores_one_and_one_that_hears_them_does_not() -> None:
    torch.manual_seed(0)
    views = small_views(models=10)
    everyone = tuple(replace(model, held_out=True) for model in views.models)
    views = replace(views, models=everyone)
    network = build_network(TINY).eval()
    rows = company_rows(network, network, bytes_as_words, views, TogetherEffort(turns=1))
    assert [row.value for row in rows] == pytest.approx([1.0] * 8, abs=2e-3)
    hearing = build_network(TINY).eval()
    hearing.load_state_dict(network.state_dict())
    with torch.no_grad():
        for name, parameter in hearing.named_parameters():
            if "attn1" in name:
                parameter.mul_(8)
    show_together(hearing)
    rows = company_rows(network, hearing, bytes_as_words, views, TogetherEffort(turns=1))
    assert max(abs(row.value - 1) for row in rows if "strangers" in row.what) > 1e-3

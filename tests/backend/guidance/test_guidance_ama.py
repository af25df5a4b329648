"""Attention-mask alignment: the loss by hand, the maps against the whole attention, gradients by finite differences."""

from __future__ import annotations

import pytest
import torch
from maquette_backend.guidance.adapted import Adaptation, attention_layers
from maquette_backend.guidance.ama import (
    agreement,
    alignment_loss,
    last_of_each_block,
    normalised,
    recorded_maps,
    resized,
)
from maquette_backend.priors.starter.starter_prior import load_starter
from tiny_prior import TinyPrior, randn, tiny_question
from torch import Tensor


def test_loss_by_hand() -> None:
    """Two views, maps of 2² and 1×... cells; masks averaged from the original, maps stretched each by its own range."""
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    mask[0, 0, :2, :2] = 1
    mask[1, 0, :, 1:] = 1
    coarse = torch.tensor([[5.0, 1, 1, 3], [0.0, -4, 4, 2]], dtype=torch.float64)
    fine = torch.arange(32, dtype=torch.float64).view(2, 16)
    got = float(alignment_loss([coarse, fine], mask))
    first = (0 + 0 + 0 + 0.5 + abs(0.5 - 0.5) + abs(1 - 0) + abs(0.5 - 1) + abs(1 - 0.75)) / 8
    ramp = torch.arange(16, dtype=torch.float64) / 15
    second = float((mask.flatten(1) - ramp).abs().mean())
    assert got == pytest.approx((first + second) / 2, abs=1e-6)


def test_a_map_that_is_the_mask_costs_nothing_and_its_opposite_everything() -> None:
    mask = (randn(3, 1, 8, 8, seed=1) > 0).double()
    logits = resized(mask, torch.zeros(3, 64)).flatten(1)
    assert float(alignment_loss([7 * logits - 3], mask)) < 1e-5
    assert float(alignment_loss([-logits], mask)) > 1 - 1e-5
    assert agreement([7 * logits - 3], mask) == pytest.approx(1)
    assert agreement([-logits], mask) == pytest.approx(-1)


def test_masks_are_resized_from_the_original_keeping_their_area() -> None:
    mask = torch.rand(2, 1, 64, 32, generator=torch.Generator().manual_seed(0))
    for cells, shape in ((512, (32, 16)), (32, (8, 4)), (8, (4, 2))):
        small = resized(mask, torch.zeros(2, cells))
        assert tuple(small.shape[1:]) == shape
        torch.testing.assert_close(small.mean((1, 2)), mask.mean((1, 2, 3)))
    with pytest.raises(ValueError, match="7 cells"):
        resized(mask, torch.zeros(2, 7))


def test_each_sample_is_normalised_by_itself_and_flat_ones_stay_finite() -> None:
    maps = torch.tensor([[0.0, 1, 2], [10.0, 30, 20], [4.0, 4, 4]])
    torch.testing.assert_close(normalised(maps), torch.tensor([[0, 0.5, 1], [0, 1, 0.5], [0, 0, 0]]))


def test_loss_by_finite_differences_in_maps_and_mask() -> None:
    mask, maps = torch.rand(2, 1, 8, 8, dtype=torch.float64), [randn(2, 64, seed=1), randn(2, 16, seed=2)]
    inputs = [value.requires_grad_() for value in (*maps, mask)]
    assert torch.autograd.gradcheck(lambda *values: alignment_loss(values[:2], values[2]), inputs)


def test_maps_are_the_whole_attentions_logits_at_the_token_averaged_over_heads() -> None:
    """Against diffusers' own head splitting, from the queries and keys of every layer."""
    prior = TinyPrior()
    asked = tiny_question(prior)
    layers = attention_layers(prior.network, cross_only=True)
    adaptation = Adaptation(layers)
    seen: dict[tuple[str, str], Tensor] = {}
    for layer in layers:
        adaptation.hook(layer, lambda projection, x, y, name=layer.name: seen.setdefault((name, projection), y))
    with torch.no_grad(), recorded_maps(adaptation, prior.object_tokens(asked.text), stop=False) as maps:
        prior.predict_denoised(asked.noisy(), asked.time, asked.text, None, "color")
    assert sorted(map_.shape[1] for map_ in maps.values()) == [16, 64, 64]
    for layer in last_of_each_block(layers):
        attention = layer.attention
        query, key = (attention.head_to_batch_dim(seen[layer.name, part]) for part in ("to_q", "to_k"))
        logits = attention.scale * query @ key.mT
        at_end = logits.unflatten(0, (2, attention.heads)).mean(1)[..., 2]
        torch.testing.assert_close(maps[layer.name], at_end)
    adaptation.close()


def test_one_layer_is_taken_from_each_block() -> None:
    prior = load_starter(torch.device("cpu"))
    names = [layer.name for layer in last_of_each_block(attention_layers(prior.denoiser(), cross_only=True))]
    assert sorted(name.partition(".attentions.")[0] for name in names) == ["down_blocks.1", "mid_block", "up_blocks.0"]
    assert any(".attentions.1." in name for name in names)  # the last of the upward block's two


def test_stopping_early_gives_the_same_maps_and_leaves_nothing_behind() -> None:
    prior = load_starter(torch.device("cpu"))
    text = prior.encode_text(["a red sofa"]).data
    picture, time = randn(1, 7, 64, 64, seed=1).float(), torch.tensor([0.5])
    adaptation = Adaptation(attention_layers(prior.denoiser(), cross_only=True))
    with torch.no_grad():
        plain = prior.predict_denoised(picture, time, text, None, "joint")
        with recorded_maps(adaptation, prior.object_tokens(text), stop=False) as whole:
            assert torch.equal(prior.predict_denoised(picture, time, text, None, "joint"), plain)
        reached = False
        with recorded_maps(adaptation, prior.object_tokens(text), stop=True) as maps:
            prior.predict_denoised(picture, time, text, None, "joint")
            reached = True
        assert not reached
        assert all(torch.equal(maps[name], whole[name]) for name in whole)
        assert torch.equal(prior.predict_denoised(picture, time, text, None, "joint"), plain)
    adaptation.close()


def test_the_starters_end_marks_are_where_its_texts_end() -> None:
    prior = load_starter(torch.device("cpu"))
    texts = ["", "a lamp", "a red sofa with a very long back and short legs", "a lamp"]
    weights = prior.object_tokens(prior.encode_text(texts).data)
    assert weights.sum(1).tolist() == [1, 1, 1, 1]
    marks = [prior._words.token_texts(text)[place] for text, place in zip(texts, weights.argmax(1).tolist(), strict=True)]
    assert marks == ["[SEP]"] * 4
    with pytest.raises(KeyError):
        prior.object_tokens(torch.zeros(1, 32, 128))

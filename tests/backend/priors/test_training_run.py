"""Training learns, and an interruption changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from maquette_backend.priors.starter.network import NetworkConfig
from maquette_backend.priors.starter.training.batches import Augmentation, draw_batch, training_pool
from maquette_backend.priors.starter.training.checkpoint import Counters, Run, load_checkpoint, save_checkpoint
from maquette_backend.priors.starter.training.train import (
    Budget,
    Stage,
    TrainConfig,
    learning_rate,
    start_run,
    train,
    velocity_loss,
    views_together_in,
)
from small_views import bytes_as_words, small_views

TINY = NetworkConfig(channels=(16, 24, 32), embedding_size=32)
CONFIG = TrainConfig(stages=(Stage(8, 8, 3e-3, 0.5), Stage(16, 8, 3e-3, 1.0)), warm_up_steps=2, network=TINY)
STEPS = 24
BUDGET = Budget(images=8 * STEPS)


class Interrupted(Exception):
    pass


def trained(budget: Budget = BUDGET) -> Run:
    run = start_run(CONFIG)
    train(run, training_pool(small_views()), bytes_as_words, CONFIG, budget)
    return run


def test_a_few_steps_reduce_the_loss_on_unused_noise() -> None:
    pool = training_pool(small_views())
    check = [draw_batch(pool, bytes_as_words, 32, 16, Augmentation(), 99, step) for step in range(4)]

    @torch.no_grad()
    def loss(run: Run) -> float:
        return sum(velocity_loss(run.network, batch).mean().item() for batch in check) / len(check)

    assert loss(trained()) < 0.9 * loss(start_run(CONFIG))


@pytest.mark.parametrize("stop_at", [5, STEPS // 2, STEPS - 1])
def test_an_interrupted_run_ends_bit_for_bit_like_an_uninterrupted_one(tmp_path: Path, stop_at: int) -> None:
    path, pool = tmp_path / "checkpoint.safetensors", training_pool(small_views())

    def save_and_stop(run: Run, _loss: float) -> None:
        if run.counters.step == stop_at:
            save_checkpoint(path, run, "a")
            raise Interrupted

    with pytest.raises(Interrupted):
        train(start_run(CONFIG), pool, bytes_as_words, CONFIG, BUDGET, save_and_stop)
    resumed = start_run(replace(CONFIG, seed=7))
    load_checkpoint(path, resumed, "a")
    train(resumed, pool, bytes_as_words, CONFIG, BUDGET)
    whole = trained()
    assert replace(resumed.counters, elapsed_secs=0) == replace(whole.counters, elapsed_secs=0)
    for mine, other in ((resumed.network, whole.network), (resumed.average, whole.average)):
        for name, tensor in other.state_dict().items():
            assert torch.equal(mine.state_dict()[name], tensor), name


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    run = start_run(CONFIG)
    save_checkpoint(tmp_path / "c.safetensors", run, "these settings")
    with pytest.raises(ValueError, match="other settings"):
        load_checkpoint(tmp_path / "c.safetensors", run, "those settings")
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_the_average_follows_the_weights() -> None:
    run = trained()
    start = start_run(CONFIG)
    name = "conv_in.weight"
    way = (run.network.state_dict()[name] - start.network.state_dict()[name]).norm()
    behind = (run.network.state_dict()[name] - run.average.state_dict()[name]).norm()
    assert 0 < behind < way


def test_learning_rate_warms_up_stays_and_decays_in_each_stage() -> None:
    config = TrainConfig(stages=(Stage(32, 64, 8e-4, 0.5), Stage(64, 32, 4e-4, 1.0)))
    first = [
        learning_rate(config, Counters(step=step), p) for step, p in ((0, 0.0), (99, 0.1), (500, 0.374), (900, 0.5))
    ]
    assert first == pytest.approx([8e-6, 8e-4, 8e-4, 1.6e-5], rel=0.01)
    second = [
        learning_rate(config, Counters(step=step, stage=1, stage_start=900), p)
        for step, p in ((900, 0.5), (1000, 0.6), (2000, 0.9375), (3000, 1.0))
    ]
    assert second == pytest.approx([4e-6, 4e-4, 4e-4 * 0.51, 8e-6], rel=0.01)


@pytest.mark.parametrize(("share", "expected"), [(0.0, [1] * 8), (1.0, [4] * 8), (0.5, [1, 4] * 4), (0.25, [1, 1, 1, 4] * 2)])
def test_steps_of_four_views_are_evenly_spread(share: float, expected: list[int]) -> None:
    config = TrainConfig(together_share=share)
    assert [views_together_in(config, step) for step in range(8)] == expected


def test_four_views_together_change_what_is_learned() -> None:
    """The runs draw the same noise in their steps of single views; only company can set them apart."""
    runs = []
    for share in (0.0, 0.5):
        config = replace(CONFIG, stages=(Stage(16, 8, 3e-3, 1.0),), together_share=share)
        runs.append(start_run(config))
        train(runs[-1], training_pool(small_views()), bytes_as_words, config, Budget(images=16))
    first, second = (run.network.state_dict()["conv_in.weight"] for run in runs)
    assert not torch.equal(first, second)


def test_the_first_bound_reached_ends_the_run() -> None:
    assert Budget(images=100).progress(Counters(images=50, elapsed_secs=1e9)) == 0.5
    assert Budget(images=100, secs=10).progress(Counters(images=50, elapsed_secs=8)) == 0.8
    assert Budget(images=math.inf, secs=10).progress(Counters(images=10**9)) == 0

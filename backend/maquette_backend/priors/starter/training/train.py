"""Trains the starter prior: ``python -m maquette_backend.priors.starter.training.train --minutes 60``.

Plain v-prediction with unit weights: min-SNR weights starve the high noise levels, which hold layout, caption
and camera, and which distillation uses. First at 32², where samples are cheap, then at 64². May be interrupted
at any time; the same command goes on from the last checkpoint and repeats what the uninterrupted run would do.
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from maquette_backend.priors.starter import picture, schedule
from maquette_backend.priors.starter.folder import SHIPPED, load_folder
from maquette_backend.priors.starter.network import NetworkConfig, build_network, on_device, predict_velocity
from maquette_backend.priors.starter.training.batches import (
    Augmentation,
    Batch,
    Encode,
    Pool,
    draw_batch,
    training_pool,
)
from maquette_backend.priors.starter.training.checkpoint import Counters, Run, load_checkpoint
from maquette_backend.priors.starter.training.data import DEFAULT_CACHE
from maquette_backend.priors.starter.training.dataset import load_views
from maquette_backend.priors.starter.training.known import known_things
from maquette_backend.priors.starter.training.reporting import CHECKPOINT_FILE, Reporter
from maquette_backend.priors.starter.views_together import VIEWS, show_together
from maquette_backend.priors.starter.words import load_words

CPU = torch.device("cpu")
_AVERAGE_EVERY = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A part of a run at one picture size."""

    size: int
    batch_size: int
    learning_rate: float
    until: float
    """Share of the whole run's budget at which it ends."""


CPU_STAGES = (Stage(32, 64, 8e-4, 0.5), Stage(64, 32, 4e-4, 1.0))
CUDA_STAGES = (Stage(32, 512, 1.2e-3, 0.3), Stage(64, 512, 8e-4, 1.0))


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run; its budget is given apart, so that a run can be prolonged."""

    stages: tuple[Stage, ...] = CPU_STAGES
    warm_up_steps: int = 100
    decay_share: float = 0.25
    """The last part of each stage, over which its learning rate falls by a cosine to ``final_rate``."""
    final_rate: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    seed: int = 0
    together_share: float = 0.5
    """Share of the steps whose samples are views of one model, four and four, that hear each other; the other steps keep
    what the network knows of a view alone (MVDream, Shi et al. 2023, mixes in single pictures for the same reason)."""


@dataclass(frozen=True)
class Budget:
    """How long a run lasts; the first bound that is reached ends it."""

    images: float = math.inf
    secs: float = math.inf

    def progress(self, counters: Counters) -> float:
        """0 at the start, 1 and more when it is spent."""
        return max(counters.images / self.images, counters.elapsed_secs / self.secs)


def start_run(config: TrainConfig, warm_start: Path | None = None, device: torch.device = CPU) -> Run:
    """A fresh run on ``device``; ``warm_start`` is a pipeline's folder to begin with."""
    torch.manual_seed(config.seed)
    fresh = build_network(config.network) if warm_start is None else load_folder(warm_start, device).network
    network = on_device(fresh, device).train().requires_grad_(True)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    rate = config.stages[0].learning_rate
    settings = {"betas": config.betas, "weight_decay": config.weight_decay}
    # fused: a tenth of the time that the ordinary loop takes on a CPU
    optimizer = torch.optim.AdamW(network.parameters(), rate, fused=True, **settings)
    return Run(network, average, optimizer, Counters())


def velocity_errors(network: nn.Module, batch: Batch) -> Tensor:
    """Squared error of v, [B,7,H,W]."""
    times = picture.channel_times(batch.told.color_time, batch.told.geometry_time)
    noisy = schedule.add_noise(batch.clean, batch.noise, times)
    predicted = predict_velocity(network, noisy, batch.told)
    return (predicted - schedule.velocity(batch.clean, batch.noise, times)).square()


def velocity_loss(network: nn.Module, batch: Batch) -> Tensor:
    """Mean squared error of v per sample [B] over the channels that are learned, unit weights."""
    errors = velocity_errors(network, batch) * batch.learned
    return errors.mean((2, 3)).sum(1) / batch.learned.sum((1, 2, 3))


def train(
    run: Run,
    pool: Pool,
    encode: Encode,
    config: TrainConfig,
    budget: Budget,
    after_step: Callable[[Run, float], None] = lambda _run, _loss: None,
) -> None:
    """Trains until the budget is spent; ``after_step`` is called with the run and the step's loss."""
    counters = run.counters
    on_gpu = run.network.device.type == "cuda"
    fast = cast(nn.Module, torch.compile(run.network)) if on_gpu else run.network  # on two cores compiling costs more than it brings
    while (progress := budget.progress(counters)) < 1:
        before = time.monotonic()
        while progress >= config.stages[counters.stage].until:
            counters.stage += 1
            counters.stage_start = counters.step
        stage = config.stages[counters.stage]
        for group in run.optimizer.param_groups:
            group["lr"] = learning_rate(config, counters, progress)
        together = views_together_in(config, counters.step)
        show_together(run.network, together)
        drawn = stage.batch_size, stage.size, config.augmentation, config.seed, counters.step, together
        batch = draw_batch(pool, encode, *drawn)
        loss = _step(run, fast, batch.to(run.network.device), config)
        counters.step += 1
        counters.images += stage.batch_size
        if counters.step % _AVERAGE_EVERY == 0:
            _update_average(run)
        counters.elapsed_secs += time.monotonic() - before
        after_step(run, loss)


def views_together_in(config: TrainConfig, step: int) -> int:
    """How many views hear each other in a step: ``VIEWS`` or 1, evenly spread over the steps."""
    return VIEWS if math.floor((step + 1) * config.together_share) > math.floor(step * config.together_share) else 1


def learning_rate(config: TrainConfig, counters: Counters, progress: float) -> float:
    """Warm-up, constant, cosine decay: within each stage."""
    stage = config.stages[counters.stage]
    start = config.stages[counters.stage - 1].until if counters.stage else 0.0
    share = (progress - start) / (stage.until - start)
    decay = min(1.0, max(0.0, (share - 1 + config.decay_share) / config.decay_share))
    fall = config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * decay))
    warm_up = min(1.0, (counters.step - counters.stage_start + 1) / config.warm_up_steps)
    return stage.learning_rate * warm_up * fall


def _step(run: Run, fast: nn.Module, batch: Batch, config: TrainConfig) -> float:
    loss = velocity_loss(fast, batch).mean()
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), config.gradient_norm, foreach=True)
    run.optimizer.step()
    return loss.item()


@torch.no_grad()
def _update_average(run: Run) -> None:
    """The window grows with the run, to 12 % of its steps and at most 2400, so that the average is never stale."""
    window = min(2400.0, 0.12 * run.counters.step + 40)
    keep = max(0.5, 1 - _AVERAGE_EVERY / window)
    for average, parameter in zip(run.average.parameters(), run.network.parameters(), strict=True):
        average.lerp_(parameter, 1 - keep)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where `data` put the views")
    parser.add_argument(
        "--out", type=Path, default=DEFAULT_CACHE / "run", help="checkpoint, prior's folder, samples, curves"
    )
    parser.add_argument("--minutes", type=float, default=300.0, help="training time in all; a later run may prolong it")
    parser.add_argument("--images", type=float, default=math.inf, help="stop there if it comes first")
    parser.add_argument("--warm-start", type=Path, help="a prior's folder to go on from, at 64² only")
    parser.add_argument("--text", type=Path, default=SHIPPED, help="folder whose text encoder and tokenizer are used")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU; a GPU is used if there is one")
    parser.add_argument("--nice", type=int, default=10, help="how much to give way to other programs")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if hasattr(os, "nice"):
        os.nice(arguments.nice)
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = TrainConfig(stages=CUDA_STAGES if device.type == "cuda" else CPU_STAGES)
    if arguments.warm_start is not None:
        config = replace(config, stages=(replace(config.stages[-1], until=1.0),))
    arguments.out.mkdir(parents=True, exist_ok=True)
    _run(config, Budget(arguments.images, arguments.minutes * 60), device, arguments)


def _run(config: TrainConfig, budget: Budget, device: torch.device, arguments: argparse.Namespace) -> None:
    run = start_run(config, arguments.warm_start, device)
    checkpoint, about = arguments.out / CHECKPOINT_FILE, repr(config)
    if checkpoint.exists():
        load_checkpoint(checkpoint, run, about)
        _log.info("going on from step %d", run.counters.step)
    views = load_views(arguments.cache / "views")
    report = Reporter(arguments.out, about, arguments.text, known_things(views.models))
    report.start(run)
    words = load_words(arguments.text, device)
    train(run, training_pool(views), words.encode, config, budget, report)
    report.finish(run)


if __name__ == "__main__":
    main()

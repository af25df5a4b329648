"""Whether four views of one subject hear each other: how much better v is predicted in their company than without.

The control keeps every picture, its noise and its conditions, and only exchanges the company: views of three other
models. A network that ignores its neighbours scores 1 in both rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.network import Condition
from maquette_backend.priors.starter.starter_prior import StarterPrior
from maquette_backend.priors.starter.training.batches import Batch, Encode, cameras_to_features
from maquette_backend.priors.starter.training.dataset import STRETCH_EVERY, ViewSet, to_tensor
from maquette_backend.priors.starter.training.evaluation.losses import fullest_caption
from maquette_backend.priors.starter.training.evaluation.rows import Row, bootstrap_mean, bootstrap_ratio
from maquette_backend.priors.starter.training.sampling import AZIMUTHS_DEG, PROMPTS, orbit_views, sample
from maquette_backend.priors.starter.training.train import velocity_errors
from maquette_backend.priors.starter.views_together import VIEWS

TIMES = (0.5, 0.7, 0.85, 0.95)
_SUBJECTS_AT_ONCE = 8


@dataclass(frozen=True)
class TogetherEffort:
    """How many turns each model is shown in, and how finely samples are drawn."""

    turns: int = 2
    steps: int = 20
    seed: int = 5


@torch.no_grad()
def company_rows(
    alone: nn.Module, together: nn.Module, encode: Encode, views: ViewSet, effort: TogetherEffort
) -> list[Row]:
    """By v-loss; ``alone`` takes one view at a time, ``together`` four."""
    rows = [row for row, model in enumerate(views.models) if model.held_out]
    table: list[Row] = []
    for time in TIMES:
        batch = _turns(encode, views, rows, time, effort)
        company = _company(len(rows), effort.turns)
        single = _losses(alone, batch, len(rows))
        own = _losses(together, batch, len(rows))
        strange = _losses(together, _taken(batch, company), len(rows), np.argsort(company))
        how = f"{len(rows)} held-out models × {effort.turns} turns of {VIEWS} views; bootstrap over models"
        table += [
            Row(f"four views: alone over together, t = {time:g}", *bootstrap_ratio(single, own, 0), how),
            Row(f"four views: among strangers over among its own, t = {time:g}", *bootstrap_ratio(strange, own, 0), how),
        ]
    return table


def spread_rows(alone: StarterPrior, together: StarterPrior, effort: TogetherEffort) -> list[Row]:
    """By samples: how far apart the colours of a subject's sides are."""
    how = f"{len(PROMPTS)} prompts × {VIEWS} sides: distance of a side's mean colour from the sides' mean, of 0..1; bootstrap"
    spread = {name: _color_spread(prior, effort) for name, prior in (("alone", alone), ("together", together))}
    return [Row(f"four views: spread of colour, {name}", *bootstrap_mean(found, 0), how) for name, found in spread.items()]


def _turns(encode: Encode, views: ViewSet, rows: list[int], time: float, effort: TogetherEffort) -> Batch:
    """Samples [models·turns·VIEWS], those of a turn in a row, each model as its author made it."""
    random = np.random.default_rng(effort.seed)
    count = views.images.shape[1]
    first = STRETCH_EVERY * random.integers(0, count // (VIEWS * STRETCH_EVERY), (len(rows), effort.turns, 1))
    shots = (first + count // VIEWS * np.arange(VIEWS)).reshape(-1)
    models = np.repeat(rows, effort.turns * VIEWS)
    clean = picture.encode(to_tensor(views.images[models, shots]))
    noise = torch.from_numpy(random.standard_normal(clean.shape, np.float32))
    words = encode([fullest_caption(views, row) for row in rows]).repeat_interleave(effort.turns * VIEWS, 0)
    times = torch.full((len(clean),), time)
    told = Condition(times, times, words, cameras_to_features(views.cameras[models, shots]))
    return Batch(clean, noise, told, torch.ones(len(clean), picture.CHANNELS, 1, 1))


def _company(models: int, turns: int) -> NDArray[np.int64]:
    """A permutation of ``_turns``' samples that puts four different models into each group."""
    places = np.arange(models * turns * VIEWS).reshape(models, turns, VIEWS)
    mixed = np.stack([np.roll(places[:, :, view], view, axis=0) for view in range(VIEWS)], axis=2)
    return mixed.reshape(-1)


def _taken(batch: Batch, order: NDArray[np.int64]) -> Batch:
    told = Condition(*(part[order] for part in vars(batch.told).values()))
    return replace(batch, clean=batch.clean[order], noise=batch.noise[order], told=told, learned=batch.learned[order])


def _losses(network: nn.Module, batch: Batch, models: int, back: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Mean squared error of v by model [models]; ``back`` undoes an exchange of company."""
    size = _SUBJECTS_AT_ONCE * VIEWS
    parts = [
        velocity_errors(network, _taken(batch, np.arange(start, min(start + size, len(batch.clean))))).mean((1, 2, 3))
        for start in range(0, len(batch.clean), size)
    ]
    errors: Tensor = torch.cat(parts)
    found = errors.double().numpy()
    return (found if back is None else found[back]).reshape(models, -1).mean(1)


def _color_spread(prior: StarterPrior, effort: TogetherEffort) -> NDArray[np.float64]:
    """[prompts]: how far apart the mean colours of a subject's four sides are, 0..1 per channel."""
    prompts = [prompt for prompt in PROMPTS for _ in AZIMUTHS_DEG]
    views = orbit_views(list(AZIMUTHS_DEG) * len(PROMPTS))
    pictures = sample(prior, prompts, views, steps=effort.steps, seed=effort.seed)
    covered = (pictures[:, picture.COVERAGE] > 0).float()
    color = (pictures[:, picture.COLOR].clamp(-1, 1) + 1) / 2
    mean = (color * covered).sum((2, 3)) / covered.sum((2, 3)).clamp(min=1)
    sides = mean.view(len(PROMPTS), VIEWS, 3)
    return (sides - sides.mean(1, keepdim=True)).norm(dim=2).mean(1).double().numpy()

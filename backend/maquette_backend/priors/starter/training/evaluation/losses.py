"""What the prior hears: how much worse v is predicted under the caption of another model, or from a turned camera.

A prior that ignores its conditions scores 1. The picture is measured as the network sees it, all seven channels
noised alike; colour and geometry channels are reported apart, and so is colour where the geometry is given clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.network import Condition
from maquette_backend.priors.starter.training.batches import Batch, Encode, cameras_to_features
from maquette_backend.priors.starter.training.dataset import ViewSet, to_tensor
from maquette_backend.priors.starter.training.evaluation.rows import Row, bootstrap_ratio
from maquette_backend.priors.starter.training.train import velocity_errors

CAPTION_GATES = {0.85: 1.25, 0.95: 1.5}
"""Least ratio, shuffled over right caption, by diffusion time."""
CAMERA_GATES = {0.85: 1.03, 0.95: 1.08}
"""The same for the camera turned by 90°, on asymmetric furniture."""
_BATCH = 32
_PARTS = {"joint": slice(0, 7), "color": picture.COLOR, "geometry": picture.GEOMETRY}
Losses = dict[str, NDArray[np.float64]]
"""Mean squared error of v by condition: [models,7], a column per channel."""


@dataclass(frozen=True)
class LossEffort:
    """How many pictures and noises each model is measured with."""

    views: int = 4
    noises: int = 4
    seed: int = 3


@torch.no_grad()
def model_losses(
    network: nn.Module,
    encode: Encode,
    views: ViewSet,
    rows: Sequence[int],
    time: float,
    geometry_given: bool,
    effort: LossEffort,
) -> Losses:
    """Losses of each model in ``rows`` under ``right``, ``caption`` (another model's) and ``camera`` (+90°).

    All three see the same pictures under the same noise; the caption is the fullest one.
    """
    repeats = effort.views * effort.noises
    strangers = strangers_of([views.models[row].noun for row in rows], repeats)
    sums = {name: np.zeros((len(rows), picture.CHANNELS)) for name in ("right", "caption", "camera")}
    samples = [(i, k) for i in range(len(rows)) for k in range(repeats)]
    for start in range(0, len(samples), _BATCH):
        chunk = samples[start : start + _BATCH]
        others = [rows[strangers[i][k]] for i, k in chunk]
        for name, batch in _variants(encode, views, rows, chunk, others, time, geometry_given, effort).items():
            errors = velocity_errors(network, batch).mean((2, 3)).double().numpy()
            np.add.at(sums[name], [i for i, _ in chunk], errors)
    return {name: total / repeats for name, total in sums.items()}


def _variants(
    encode: Encode,
    views: ViewSet,
    rows: Sequence[int],
    chunk: Sequence[tuple[int, int]],
    others: Sequence[int],
    time: float,
    geometry_given: bool,
    effort: LossEffort,
) -> dict[str, Batch]:
    models = np.array([rows[i] for i, _ in chunk])
    shots = np.array([_shot(views, rows[i], k % effort.views, effort) for i, k in chunk])
    noise = np.stack([_noise(views, rows[i], k, effort) for i, k in chunk])
    cameras = views.cameras[models, shots]
    turned = cameras + np.array([90, 0, 0, 0], np.float32)
    clean = picture.encode(to_tensor(views.images[models, shots]))
    color_time = torch.full((len(chunk),), time)
    geometry_time = torch.zeros(len(chunk)) if geometry_given else color_time
    right_words, other_words = (encode([fullest_caption(views, row) for row in of]) for of in (models.tolist(), others))
    told = {
        "right": (right_words, cameras),
        "caption": (other_words, cameras),
        "camera": (right_words, turned),
    }
    learned = torch.ones(len(chunk), picture.CHANNELS, 1, 1)
    return {
        name: Batch(
            clean,
            torch.from_numpy(noise),
            Condition(color_time, geometry_time, words, cameras_to_features(seen_from)),
            learned,
        )
        for name, (words, seen_from) in told.items()
    }


def loss_rows(network: nn.Module, encode: Encode, views: ViewSet, effort: LossEffort) -> list[Row]:
    """Captions on all held-out models, cameras on the asymmetric ones among them."""
    held_out = [row for row, model in enumerate(views.models) if model.held_out]
    asymmetric = np.array([views.models[row].asymmetric for row in held_out])
    table: list[Row] = []
    for time in CAPTION_GATES:
        joint = model_losses(network, encode, views, held_out, time, False, effort)
        given = model_losses(network, encode, views, held_out, time, True, effort)
        everyone = np.full(len(held_out), True)
        table += _ratios(joint, given, "caption", time, everyone)
        table += _ratios(joint, given, "camera", time, asymmetric)
    return sorted(table, key=lambda row: row.what.startswith("camera"))


def _ratios(joint: Losses, given: Losses, wrong: str, time: float, members: NDArray[np.bool_]) -> list[Row]:
    gates, label, models = {
        "caption": (CAPTION_GATES, "caption shuffled over right", "held-out models"),
        "camera": (CAMERA_GATES, "camera +90° over right", "asymmetric held-out models"),
    }[wrong]
    measured = [(part, joint, channels) for part, channels in _PARTS.items()]
    measured.append(("color, geometry given", given, picture.COLOR))
    rows = []
    for part, losses, channels in measured:
        right, bad = (losses[name][members, channels].mean(1) for name in ("right", wrong))
        how = f"{len(right)} {models}, bootstrap over models; v-loss {right.mean():.3f} under the right one"
        rows.append(
            Row(
                f"{label}, t = {time:g}, {'whole picture' if part == 'joint' else part}",
                *bootstrap_ratio(bad, right, 0),
                how,
                gates[time] if part == "joint" else None,
            )
        )
    return rows


def fullest_caption(views: ViewSet, row: int) -> str:
    """The longest phrasing of a model as it was rendered; of two the first."""
    return max(views.models[row].captions[0], key=len)


def strangers_of(nouns: Sequence[str], count: int) -> list[list[int]]:
    """``count`` models that are called otherwise for each model, spread evenly over the shuffled list.

    Many, because one pairing alone moves the ratio by a few per cent. Raises ValueError if all bear one name.
    """
    if len(set(nouns)) < 2:
        raise ValueError(f"shuffled captions need models of at least two names, not only {set(nouns)}")
    order = np.random.default_rng(3).permutation(len(nouns)).tolist()
    strangers: list[list[int]] = [[] for _ in nouns]
    for place, model in enumerate(order):
        others = [other for other in order[place:] + order[:place] if nouns[other] != nouns[model]]
        strangers[model] = [others[number * len(others) // count] for number in range(count)]
    return strangers


def _shot(views: ViewSet, row: int, number: int, effort: LossEffort) -> int:
    return int(np.random.default_rng((effort.seed, row)).permutation(views.images.shape[1])[number])


def _noise(views: ViewSet, row: int, number: int, effort: LossEffort) -> NDArray[np.float32]:
    shape = views.images.shape[2:]
    return np.random.default_rng((effort.seed, row, number)).standard_normal(shape, np.float32)

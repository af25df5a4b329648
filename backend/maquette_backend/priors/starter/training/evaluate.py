"""Measures the starter prior: ``python -m maquette_backend.priors.starter.training.evaluate``.

On models that training never saw: how much worse is v predicted under the captions of other models, or from a
camera turned by 90°? A prior that ignores its conditions scores 1. Deterministic; the intervals are 95 %
bootstrap intervals over models.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from maquette_backend.priors.starter.model import Denoiser
from maquette_backend.priors.starter.training.batches import Batch, cameras_to_vectors
from maquette_backend.priors.starter.training.captions import plain_name
from maquette_backend.priors.starter.training.data import DEFAULT_CACHE
from maquette_backend.priors.starter.training.dataset import ViewSet, load_views, to_tensor
from maquette_backend.priors.starter.training.sampling import sample_sheet
from maquette_backend.priors.starter.training.split import with_unseen_names
from maquette_backend.priors.starter.training.train import velocity_loss
from maquette_backend.priors.starter.weights import SHIPPED, load_weights

GATES = {0.85: 1.15, 0.95: 1.30}
"""Least ratio, shuffled over right caption, in colour, by diffusion time."""
_BOOTSTRAPS = 2000
_BATCH = 40
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Effort:
    """How many pictures and noises each model is measured with."""

    views: int = 4
    noises: int = 4
    seed: int = 3


@dataclass(frozen=True)
class Ratio:
    """A line of the table: mean loss under a wrong condition over mean loss under the right one."""

    models: str
    """``held out``, or ``unseen names``: those of them whose name occurs nowhere in training."""
    modality: str
    time: float
    wrong: str
    right_loss: float
    ratio: float
    low: float
    high: float
    """95 % bootstrap interval over models."""


@torch.no_grad()
def model_losses(
    denoiser: Denoiser, views: ViewSet, rows: Sequence[int], modality: int, time: float, effort: Effort
) -> dict[str, NDArray[np.float64]]:
    """Mean v-loss of each model in ``rows`` under ``right``, ``caption shuffled`` and ``camera + 90°``, same noise."""
    strangers = strangers_of([views.models[row].name for row in rows], effort.views * effort.noises)
    losses: dict[str, list[float]] = {"right": [], "caption shuffled": [], "camera + 90°": []}
    samples = [(i, k) for i in range(len(rows)) for k in range(effort.views * effort.noises)]
    for start in range(0, len(samples), _BATCH):
        chunk = samples[start : start + _BATCH]
        models = np.array([rows[i] for i, _ in chunk])
        others = np.array([rows[strangers[i][k]] for i, k in chunk])
        shots = np.array([_shot(views, rows[i], k % effort.views, effort) for i, k in chunk])
        noise = np.stack([_noise(views, rows[i], k, effort) for i, k in chunk])
        cameras = views.cameras[models, shots]
        right = Batch(
            clean=to_tensor(views.images[modality][models, shots]),
            noise=torch.from_numpy(noise),
            time=torch.full((len(chunk),), time),
            text=views.texts[models, 0, 0],
            camera=cameras_to_vectors(cameras),
            modality=torch.full((len(chunk),), modality),
        )
        turned = cameras_to_vectors(cameras + np.array([90, 0, 0], np.float32))
        variants = {
            "right": right,
            "caption shuffled": Batch(**{**vars(right), "text": views.texts[others, 0, 0]}),
            "camera + 90°": Batch(**{**vars(right), "camera": turned}),
        }
        for name, batch in variants.items():
            losses[name] += velocity_loss(denoiser, batch).tolist()
    return {name: np.array(values).reshape(len(rows), -1).mean(1) for name, values in losses.items()}


def bootstrap_ratio(wrong: NDArray[np.float64], right: NDArray[np.float64], seed: int) -> tuple[float, float, float]:
    """mean(wrong)/mean(right) over models, and the 95 % interval when models are drawn anew."""
    picks = np.random.default_rng(seed).integers(0, len(right), (_BOOTSTRAPS, len(right)))
    ratios = wrong[picks].mean(1) / right[picks].mean(1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    return float(wrong.mean() / right.mean()), float(low), float(high)


def evaluate(denoiser: Denoiser, views: ViewSet, effort: Effort) -> list[Ratio]:
    """The whole table."""
    held_out = [model.held_out for model in views.models]
    rows = [row for row, out in enumerate(held_out) if out]
    unseen_rows = with_unseen_names([model.name for model in views.models], held_out)
    groups = {"held out": np.full(len(rows), True), "unseen names": np.array([unseen_rows[row] for row in rows])}
    table: list[Ratio] = []
    for modality, label in enumerate(("color", "normal")):
        for time in GATES:
            losses = model_losses(denoiser, views, rows, modality, time, effort)
            for group, members in groups.items():
                right = losses["right"][members]
                table += [
                    Ratio(group, label, time, wrong, float(right.mean()), *bootstrap_ratio(values[members], right, 0))
                    for wrong, values in losses.items()
                    if wrong != "right"
                ]
            _log.info("measured %s at t = %g", label, time)
    return table


def markdown(table: Sequence[Ratio]) -> str:
    """The table as the model card shows it."""
    lines = [
        "| models | pictures | t | wrong condition | loss ratio | 95 % interval | gate |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table:
        lines.append(
            f"| {row.models} | {row.modality} | {row.time:g} | {row.wrong} | {row.ratio:.3f} | "
            f"{row.low:.3f} – {row.high:.3f} | {_gate(row)} |"
        )
    return "\n".join(lines)


def _gate(row: Ratio) -> str:
    if (row.models, row.modality, row.wrong) != ("held out", "color", "caption shuffled"):
        return ""
    return f"≥ {GATES[row.time]:g}: {'holds' if row.ratio >= GATES[row.time] else 'fails'}"


def strangers_of(names: Sequence[str], count: int) -> list[list[int]]:
    """``count`` models of other names for each model, spread evenly over the shuffled list.

    Many, because one pairing alone moves the ratio by a few per cent. Raises ValueError if all bear one name.
    """
    order = np.random.default_rng(3).permutation(len(names)).tolist()
    plain = [plain_name(name) for name in names]
    if len(set(plain)) < 2:
        raise ValueError(f"shuffled captions need models of at least two names, not only {set(plain)}")
    strangers: list[list[int]] = [[] for _ in names]
    for place, model in enumerate(order):
        others = [other for other in order[place:] + order[:place] if plain[other] != plain[model]]
        strangers[model] = [others[number * len(others) // count] for number in range(count)]
    return strangers


def _shot(views: ViewSet, row: int, number: int, effort: Effort) -> int:
    return int(np.random.default_rng((effort.seed, row)).permutation(views.images.shape[2])[number])


def _noise(views: ViewSet, row: int, number: int, effort: Effort) -> NDArray[np.float32]:
    size = views.images.shape[3]
    return np.random.default_rng((effort.seed, row, number)).standard_normal((3, size, size), np.float32)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where `data` put the views")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="folder of the weights to measure")
    parser.add_argument("--out", type=Path, default=Path("out/prior"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    loaded = load_weights(arguments.weights, torch.device("cpu"))
    table = evaluate(loaded.denoiser, load_views(arguments.cache / "views"), Effort())
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = {"weights_sha256": loaded.sha256, "table": [asdict(row) for row in table]}
    (arguments.out / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sample_sheet(arguments.weights, arguments.out / "samples.png")
    sys.stdout.write(markdown(table) + f"\n\nsamples: {arguments.out / 'samples.png'}\n")


if __name__ == "__main__":
    main()

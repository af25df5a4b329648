"""A training run on disk: weights, their average, the optimiser and the counters, in one safetensors file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class Counters:
    """Where a run stands."""

    step: int = 0
    stage: int = 0
    stage_start: int = 0
    """Step at which the present stage began."""
    images: int = 0
    elapsed_secs: float = 0.0


@dataclass
class Run:
    """A training run in memory."""

    network: UNet2DConditionModel
    average: UNet2DConditionModel
    """Exponential moving average of the weights: what gets shipped."""
    optimizer: torch.optim.AdamW
    counters: Counters


def save_checkpoint(path: Path, run: Run, about: str) -> None:
    """Replaces ``path`` at one stroke, so that an interruption leaves either the old or the new one.

    ``about`` is kept and compared at loading: runs of other settings must not be mixed.
    """
    names = [name for name, _ in run.network.named_parameters()]
    tensors: dict[str, Tensor] = {f"raw.{name}": tensor for name, tensor in run.network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in run.average.state_dict().items()}
    for index, state in run.optimizer.state_dict()["state"].items():
        tensors |= {f"{moment}.{names[index]}": state[moment] for moment in _MOMENTS}
    data = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        {"counters": json.dumps(asdict(run.counters)), "about": about},
    )
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path, run: Run, about: str) -> None:
    """Fills ``run`` from ``path``. Raises ValueError if it was written under other settings."""
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
        if metadata["about"] != about:
            raise ValueError(
                f"{path} belongs to a run with other settings ({metadata['about']}, not {about}). "
                "Move it away to start afresh, or train with its settings."
            )
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    run.network.load_state_dict(_part(tensors, "raw"))
    run.average.load_state_dict(_part(tensors, "average"))
    # an optimiser that has not stepped yet has no moments
    moments = {
        index: {moment: _laid_out_like(parameter, tensors[f"{moment}.{name}"]) for moment in _MOMENTS}
        for index, (name, parameter) in enumerate(run.network.named_parameters())
        if f"step.{name}" in tensors
    }
    run.optimizer.load_state_dict({**run.optimizer.state_dict(), "state": moments})
    run.counters = Counters(**json.loads(metadata["counters"]))


def _laid_out_like(parameter: Tensor, stored: Tensor) -> Tensor:
    """The fused optimiser walks parameter and moments through memory side by side: their strides must agree."""
    return torch.zeros_like(parameter).copy_(stored) if stored.dim() else stored


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}

"""Reads and writes the starter prior's weights: ``starter.safetensors`` (float16) beside ``config.json``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from maquette_protocol.errors import ErrorCode, MaquetteError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from maquette_backend.priors.starter.model import Denoiser, DenoiserConfig

SHIPPED = Path(__file__).parent / "weights"
WEIGHTS_FILE = "starter.safetensors"
CONFIG_FILE = "config.json"
MAX_BYTES = 30 << 20
"""What the package may carry."""
_Module = TypeVar("_Module", bound=nn.Module)
_REMEDY = "Reinstall the maquette package, or train the starter again with `make prior`."


@dataclass(frozen=True)
class LoadedWeights:
    denoiser: Denoiser
    """Evaluation mode, float32, channels last, no gradients for its parameters."""
    resolution: int
    """Side of the square pictures it was trained for, pixels."""
    sha256: str
    """Of the weights file, 64 hex digits."""


def load_weights(folder: Path, device: torch.device) -> LoadedWeights:
    """Builds the network from ``folder``. Raises MaquetteError INTERNAL if files are missing, too large or don't fit."""
    try:
        config, resolution = _read_config(folder / CONFIG_FILE)
        data = _read_bounded(folder / WEIGHTS_FILE)
        denoiser = Denoiser(config)
        denoiser.load_state_dict({name: tensor.float() for name, tensor in load(data).items()})
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        text = f"The starter prior's weights in {folder} can't be used: {error}."
        raise MaquetteError(ErrorCode.INTERNAL, text, _REMEDY) from error
    channels_last(denoiser.to(device)).eval().requires_grad_(False)
    return LoadedWeights(denoiser, resolution, hashlib.sha256(data).hexdigest())


def save_weights(folder: Path, denoiser: Denoiser, resolution: int) -> None:
    """Writes the network as float16 with its config; ``folder`` is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().half().contiguous() for name, tensor in denoiser.state_dict().items()}
    (folder / WEIGHTS_FILE).write_bytes(save(state))
    about = {"resolution": resolution, "denoiser": asdict(denoiser.config)}
    (folder / CONFIG_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def channels_last(module: _Module) -> _Module:
    """The same module with its convolutions' weights stored channels last, which is faster on CPU and GPU."""
    # torch's own type stubs leave this keyword out
    return module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _read_config(path: Path) -> tuple[DenoiserConfig, int]:
    about = json.loads(path.read_text(encoding="utf-8"))
    shape = dict(about["denoiser"])
    shape["multipliers"] = tuple(shape["multipliers"])
    return DenoiserConfig(**shape), int(about["resolution"])


def _read_bounded(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path.name} holds {size} bytes, more than {MAX_BYTES}")
    return path.read_bytes()

"""Reads and writes the starter prior as an ordinary diffusers pipeline folder.

``unet/``, ``scheduler/``, ``text_encoder/`` and ``tokenizer/`` are what their libraries write, weights in float16
safetensors; any of them can be loaded alone, by diffusers and transformers, without this package.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from maquette_protocol.errors import ErrorCode, MaquetteError
from safetensors import SafetensorError
from torch import nn

from maquette_backend.priors.starter.network import on_device
from maquette_backend.priors.starter.picture import FOLDED_CHANNELS
from maquette_backend.priors.starter.schedule import scheduler_config
from maquette_backend.priors.starter.words import WordEncoder, load_words

SHIPPED = Path(__file__).parent / "folder"
MAX_BYTES = 30 << 20
"""What the package may carry."""
_WEIGHTS = Path("unet") / "diffusion_pytorch_model.safetensors"
_INDEX = {
    "_class_name": "DiffusionPipeline",
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "BertModel"],
    "tokenizer": ["transformers", "BertTokenizerFast"],
    "unet": ["diffusers", "UNet2DConditionModel"],
}
_REMEDY = "Reinstall the maquette package, or train the starter again with `make prior`."


@dataclass(frozen=True)
class LoadedFolder:
    network: UNet2DConditionModel
    """Evaluation mode, float32, channels last, no gradients for its parameters."""
    words: WordEncoder
    sha256: str
    """Of the network's weights file, 64 hex digits."""


def load_folder(folder: Path, device: torch.device) -> LoadedFolder:
    """Everything in ``folder``. Raises MaquetteError INTERNAL if files are missing, too large or don't fit."""
    try:
        _check_size(folder)
        network = _load_network(folder)
        words = load_words(folder, device)
        sha256 = hashlib.sha256((folder / _WEIGHTS).read_bytes()).hexdigest()
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        text = f"The starter prior's folder {folder} can't be used: {error}."
        raise MaquetteError(ErrorCode.INTERNAL, text, _REMEDY) from error
    on_device(network, device).eval().requires_grad_(False)
    return LoadedFolder(network, words, sha256)


def save_folder(folder: Path, network: UNet2DConditionModel, text_from: Path) -> None:
    """Writes the pipeline; encoder and tokenizer are copied from ``text_from``. ``folder`` is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(network)
    nn.Module.to(half, torch.device("cpu"), torch.float16)
    half.save_pretrained(folder / "unet", safe_serialization=True)
    _forget_origin(folder / "unet" / "config.json")
    (folder / "scheduler").mkdir(exist_ok=True)
    _write_json(folder / "scheduler" / "scheduler_config.json", scheduler_config())
    _write_json(folder / "model_index.json", _INDEX)
    for part in ("text_encoder", "tokenizer"):
        if (text_from / part).resolve() != (folder / part).resolve():
            shutil.copytree(text_from / part, folder / part, dirs_exist_ok=True)


def folder_bytes(folder: Path) -> int:
    """Size of all its files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _check_size(folder: Path) -> None:
    if not (folder / _WEIGHTS).is_file():
        raise ValueError(f"it has no {_WEIGHTS.as_posix()}")
    size = folder_bytes(folder)
    if size > MAX_BYTES:
        raise ValueError(f"it holds {size} bytes, more than {MAX_BYTES}")


def _load_network(folder: Path) -> UNet2DConditionModel:
    network = UNet2DConditionModel.from_pretrained(
        folder, subfolder="unet", local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
    )
    if not isinstance(network, UNet2DConditionModel) or network.config["in_channels"] != FOLDED_CHANNELS:
        raise ValueError(f"its network does not take {FOLDED_CHANNELS} channels")
    return network.float()


def _forget_origin(config: Path) -> None:
    """Which folder of somebody's machine a network was loaded from is nobody else's business."""
    content = json.loads(config.read_text(encoding="utf-8"))
    _write_json(config, {key: value for key, value in content.items() if key != "_name_or_path"})


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

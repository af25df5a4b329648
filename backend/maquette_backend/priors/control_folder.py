"""What a ControlNet's folder holds, and whether it can be used. Free of torch: the command line and doctor ask.

Nothing in the folder is run, and nothing but JSON and safetensors is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette_backend.priors.families import Part
from maquette_backend.priors.model_folder import Weights, find_weights, read_json, unusable

CLASS = "ControlNetModel"
_PART = Part("ControlNet", (("diffusers", CLASS),), "diffusion_pytorch_model")
_PICTURE_CHANNELS = 3


@dataclass(frozen=True)
class ControlFolder:
    """A folder that can be used as a ControlNet, as far as can be told without loading it."""

    folder: Path
    config: dict[str, Any]
    weights: Weights
    files: tuple[Path, ...]
    """Everything that will be read, sorted."""


def is_control(folder: Path) -> bool:
    """Whether a folder is a ControlNet's and not a whole model's."""
    return not (folder / "model_index.json").is_file() and (folder / "config.json").is_file()


def inspect_control(folder: Path) -> ControlFolder:
    """Look at a folder as diffusers' ``ControlNetModel.save_pretrained`` leaves it.

    Raises:
        MaquetteError: UNKNOWN_PRIOR with what is wrong and what to do.
    """
    if not folder.is_dir():
        raise unusable(folder, "there is no such folder", "Put it back, or register the model where it is now.")
    try:
        config = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise unusable(folder, f"config.json can't be read ({error})", "Download the ControlNet again.") from error
    named = config.get("_class_name")
    if named != CLASS:
        raise unusable(folder, f"it is a {named}, not a {CLASS}", "Give a ControlNet for Stable Diffusion 1, 2 or XL.")
    channels = config.get("conditioning_channels", _PICTURE_CHANNELS)
    if channels != _PICTURE_CHANNELS:
        what = f"it takes pictures of {channels} channels, not {_PICTURE_CHANNELS}"
        raise unusable(folder, what, "Choose a ControlNet for depth or normals.")
    weights = find_weights(folder, _PART, folder)
    files = {folder / "config.json", *weights.files, *folder.glob("*.safetensors.index*.json")}
    return ControlFolder(folder, config, weights, tuple(sorted(files)))

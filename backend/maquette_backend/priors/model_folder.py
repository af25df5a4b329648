"""What a diffusers model folder holds, and whether it can be used. Free of torch: the command line and doctor ask.

Nothing in the folder is run, and nothing but JSON and safetensors is opened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maquette_protocol.errors import ErrorCode, MaquetteError

from maquette_backend.priors.families import FAMILIES, MULTI_VIEW, STABLE_DIFFUSION, Family, Part

MAX_JSON_BYTES = 8 << 20
"""An index of shards has a line a tensor: well under a megabyte even for the largest text encoders."""
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_READ_SUFFIXES = frozenset({".json", ".txt", ".model"})
CAMERA_NUMBERS = 16
"""A flattened camera matrix: what a multi-view model's class embedding takes."""


@dataclass(frozen=True)
class Weights:
    """The weights of one part."""

    part: Part
    variant: str
    """"fp16" where the folder holds only that one, else empty."""
    files: tuple[Path, ...]
    parameters: int


@dataclass(frozen=True)
class ModelFolder:
    """A folder that can be used as a prior, as far as can be told without loading it."""

    folder: Path
    family: Family
    weights: tuple[Weights, ...]
    files: tuple[Path, ...]
    """Everything that will be read, weights among it, sorted."""

    def parameters(self, *parts: str) -> int:
        """Of these parts together."""
        return sum(one.parameters for one in self.weights if one.part.name in parts)

    def has(self, part: str) -> bool:
        """Whether a part that a folder may do without is there."""
        return any(one.part.name == part for one in self.weights)

    def variant(self, part: str) -> str | None:
        """What the libraries call ``variant``."""
        return next((one.variant or None for one in self.weights if one.part.name == part), None)


def unusable(folder: Path, what: str, remedy: str) -> MaquetteError:
    """The error of a folder that is no usable prior."""
    return MaquetteError(ErrorCode.UNKNOWN_PRIOR, f"The model in {folder} can't be used: {what}.", remedy)


def inspect_folder(folder: Path) -> ModelFolder:
    """Look at a folder in diffusers' layout.

    Raises:
        MaquetteError: UNKNOWN_PRIOR with what is wrong and what to do.
    """
    if not folder.is_dir():
        raise unusable(folder, "there is no such folder", "Put it back, or register the model where it is now.")
    index = _index(folder)
    family = _family(folder, index)
    found = []
    for part in family.parts:
        if part.optional and index.get(part.name) in (None, [None, None]):
            continue
        _check_class(folder, part, index.get(part.name))
        found.append(find_weights(folder, part, folder / part.name))
    _check_shapes(folder, family)
    read = [folder / "model_index.json", *(file for one in found for file in one.files)]
    for name in (*(one.part.name for one in found), *family.readers(one.part.name for one in found)):
        read += [file for file in (folder / name).iterdir() if file.is_file() and file.suffix in _READ_SUFFIXES]
    return ModelFolder(folder, family, tuple(found), tuple(sorted(set(read))))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of bounded size. Raises ValueError or OSError."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ValueError(f"{path.name} is larger than {MAX_JSON_BYTES >> 20} MiB")
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is no JSON object")
    return content


def part_config(folder: Path, part: str) -> dict[str, Any]:
    """A part's configuration. Raises MaquetteError UNKNOWN_PRIOR if it can't be read."""
    path = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise unusable(folder, f"{part}/{path.name} can't be read ({error})", "Download the model again.") from error


def _index(folder: Path) -> dict[str, Any]:
    path = folder / "model_index.json"
    if not path.is_file():
        single = next((file.name for file in folder.iterdir() if file.suffix in (".safetensors", *PICKLES)), None)
        what = "it has no model_index.json" + (f", only {single}" if single else "")
        raise unusable(folder, what, "Give a folder in diffusers' layout; docs/models.md says how a single file is converted.")
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise unusable(folder, f"model_index.json can't be read ({error})", "Download the model again.") from error


def _family(folder: Path, index: dict[str, Any]) -> Family:
    name = index.get("_class_name")
    family = next((one for one in FAMILIES if one.pipeline == name), None)
    if family is None:
        known = ", ".join(dict.fromkeys(one.pipeline for one in FAMILIES))
        raise unusable(folder, f"it is of the unknown family “{name}”", f"These can be used: {known}.")
    if family is STABLE_DIFFUSION and part_config(folder, "unet").get("class_embed_type") == "projection":
        return MULTI_VIEW
    return family


def _check_class(folder: Path, part: Part, named: object) -> None:
    """Only classes of the libraries themselves, by name: a folder never chooses what is imported."""
    if not (isinstance(named, list) and len(named) == 2 and all(isinstance(one, str) for one in named)):
        raise unusable(folder, f"it has no {part.name}", "Download the whole model.")
    if tuple(named) not in part.classes:
        wanted = " or ".join(name for _, name in part.classes)
        what = f"its {part.name} is a {'.'.join(named)}, not a {wanted}"
        raise unusable(folder, what, "Models that bring code of their own are never loaded; choose another one.")


def find_weights(folder: Path, part: Part, home: Path) -> Weights:
    """The safetensors of a part of ``folder`` that lies in ``home``: whole or in shards, plain or, where that is all there is,
    in half precision. Raises MaquetteError UNKNOWN_PRIOR if they are not there."""
    if not home.is_dir():
        raise unusable(folder, f"the folder {part.name} is missing", "Download the whole model.")
    for variant in ("", "fp16"):
        dotted = f".{variant}" if variant else ""
        whole = home / f"{part.weights}{dotted}.safetensors"
        sharded = home / f"{part.weights}.safetensors.index{dotted}.json"
        files = (whole,) if whole.is_file() else _shards(folder, sharded) if sharded.is_file() else ()
        if files:
            return Weights(part, variant, files, sum(_parameters(folder, file) for file in files))
    pickled = next((file for file in sorted(home.iterdir()) if file.suffix in PICKLES), None)
    if pickled is not None:
        what = f"{part.name} has its weights as a pickle only ({pickled.name}), which can run code when it is read"
        remedy = "Get the model's safetensors files, or convert it on a machine that you can lose; see docs/models.md."
        raise unusable(folder, what, remedy)
    raise unusable(folder, f"{part.name}/{part.weights}.safetensors is missing", "Download the whole model.")


def _shards(folder: Path, index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise unusable(folder, f"{index.name} can't be read ({error})", "Download the model again.") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise unusable(folder, f"{index.name} names “{name}”, which is no file beside it", "Don't trust this model.")
        if not (index.parent / name).is_file():
            raise unusable(folder, f"the shard {index.parent.name}/{name} is missing", "Download the whole model.")
    return tuple(index.parent / name for name in names)


def _parameters(folder: Path, file: Path) -> int:
    """Numbers in a safetensors file, from its header; the library refuses a file that is cut short."""
    from safetensors import SafetensorError, safe_open

    count = 0
    try:
        with safe_open(file, framework="numpy") as opened:
            for key in opened.keys():  # noqa: SIM118, it is no mapping
                size = 1
                for side in opened.get_slice(key).get_shape():
                    size *= side
                count += size
    except (SafetensorError, OSError) as error:
        what = f"{file.parent.name}/{file.name} is damaged ({error})"
        raise unusable(folder, what, "Download that file again.") from error
    return count


def _check_shapes(folder: Path, family: Family) -> None:
    """What the configurations must agree about, so that it is said now and not in the middle of a job."""
    network, vae = part_config(folder, family.denoiser), part_config(folder, "vae")
    takes, makes = network.get("in_channels", 4), vae.get("latent_channels", 4)
    if takes != makes:
        what = f"its network takes {takes} channels and its VAE makes {makes}"
        raise unusable(folder, what, "Models for inpainting or editing can't be used: choose the text-to-image model.")
    if family is MULTI_VIEW and network.get("projection_class_embeddings_input_dim") != CAMERA_NUMBERS:
        what = f"its cameras have {network.get('projection_class_embeddings_input_dim')} numbers, not {CAMERA_NUMBERS}"
        raise unusable(folder, what, "Choose a multi-view model of MVDream's layout; see docs/models.md.")
    scheduler = part_config(folder, "scheduler").get("_class_name")
    if scheduler not in family.schedulers:
        known = ", ".join(sorted(family.schedulers))
        raise unusable(folder, f"its scheduler is a {scheduler}", f"Replace scheduler/ by one of: {known}.")

"""A model with another autoencoder in its VAE's place: a folder of its own, of links to the files of both."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from maquette_protocol.errors import ErrorCode, MaquetteError

from maquette_backend.priors.families import VAE
from maquette_backend.priors.model_folder import inspect_folder, read_json, unusable
from maquette_backend.priors.registry import check_name, read_registry


def with_vae(models: Path, name: str, folder: Path, vae: Path) -> Path:
    """The folder of a model like that in ``folder`` but for its VAE, which is that in ``vae`` (as diffusers saves one).

    It lies in the home's folder ``models``, beside what was fetched, and goes when the model ``name`` is removed. Files are
    linked, and copied where they can't be.

    Raises:
        MaquetteError: UNKNOWN_PRIOR if either can't be used, INVALID_RECIPE for a bad name, CONFLICT if it is taken; then
            nothing is made.
    """
    check_name(name)
    folder, vae = folder.expanduser().resolve(), vae.expanduser().resolve()
    found, kind = inspect_folder(folder), _class_of(vae)
    made = models / "fetched" / f"{name}--own-vae"
    if made.exists() or name in read_registry(models):
        text = f"There is a model called “{name}” already."
        raise MaquetteError(ErrorCode.CONFLICT, text, f"Choose another name, or: models remove {name}.")
    try:
        for file in found.files:
            part = file.relative_to(folder)
            if part.parts[0] != "vae" and part.name != "model_index.json":
                _linked(file, made / part)
        for file in (vae / "config.json", *vae.glob("*.safetensors*")):
            _linked(file, made / "vae" / file.name)
        index = read_json(folder / "model_index.json") | {"vae": list(kind)}
        (made / "model_index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        inspect_folder(made)
    except (OSError, MaquetteError):
        shutil.rmtree(made, ignore_errors=True)
        raise
    return made


def _class_of(vae: Path) -> tuple[str, str]:
    try:
        named = read_json(vae / "config.json").get("_class_name")
    except (OSError, ValueError) as error:
        raise unusable(vae, f"config.json can't be read ({error})", "Give a folder as diffusers saves an autoencoder.") from error
    kind = next((one for one in VAE.classes if one[1] == named), None)
    if kind is None:
        known = " or ".join(name for _, name in VAE.classes)
        raise unusable(vae, f"it is a {named}", f"Give the folder of an {known}.")
    return kind


def _linked(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, to)
    except OSError:  # another disk, or a system without links
        shutil.copyfile(file, to)

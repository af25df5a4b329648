"""``models``: which priors clients may choose. The backend's owner registers them; clients only see names."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import get_args

from maquette_protocol.errors import MaquetteError

from ..priors.catalogue import BUILT_IN
from ..priors.control_folder import is_control
from ..priors.hub import download, forget
from ..priors.other_vae import with_vae
from ..priors.registry import (
    COMPILERS,
    Model,
    Shows,
    describe,
    describe_control,
    find,
    inspect,
    read_registry,
    register,
    unregister,
)
from ..server.home import default_home, open_home


def add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its four verbs; without a verb it lists."""
    models = commands.add_parser("models", help="the priors that a recipe may name")
    models.add_argument("--home", type=Path, help="folder for keys, jobs and blobs (default: the user's data folder)")
    models.set_defaults(run=_list)
    verbs = models.add_subparsers(metavar="VERB")
    add = _verb(verbs, "add", "let clients choose a model", _add)
    add.add_argument("name", help="what clients will call it")
    add.add_argument("folder", type=Path, nargs="?", help="a folder in diffusers' layout")
    add.add_argument("--hub", metavar="OWNER/NAME", help="fetch it from the Hugging Face Hub instead")
    add.add_argument("--revision", help="with --hub: the commit, 40 hex digits")
    add.add_argument("--variant", choices=["fp16"], help="with --hub: fetch only these weights")
    add.add_argument("--lora", action="append", default=[], metavar="FILE[=SCALE]", help="a LoRA to fold in")
    add.add_argument("--vae", type=Path, metavar="FOLDER", help="another autoencoder in place of its own: a tiny one, for a first look")
    add.add_argument(
        "--compile",
        choices=COMPILERS,
        metavar="BACKEND",
        help="run its network through torch.compile: inductor, or another backend; slow at first, quicker after",
    )
    add.add_argument(
        "--control", choices=get_args(Shows), help="the folder is a ControlNet that is shown pictures of this kind"
    )
    _verb(verbs, "list", "show the models that clients may choose", _list)
    verify = _verb(verbs, "verify", "compute every hash again", _verify)
    verify.add_argument("name", nargs="?", help="default: all of them")
    _verb(verbs, "remove", "let clients choose a model no more", _remove).add_argument("name")


def models_folder(home: Path | None) -> Path:
    """Where a home keeps its list of models; nothing is made."""
    return (home or default_home()).expanduser().resolve() / "models"


def lora_from(text: str) -> tuple[Path, float]:
    """``FILE`` or ``FILE=SCALE``. Raises argparse.ArgumentTypeError for a scale that is no number."""
    file, equals, scale = text.rpartition("=")
    if not equals or not file:
        return Path(text), 1.0
    try:
        return Path(file), float(scale)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"“{scale}” is no scale: write FILE=0.8") from error


def gigabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str, run: object
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=purpose, description=purpose)
    # suppressed, or the verb's default would replace a --home that stands before it
    parser.add_argument("--home", type=Path, default=argparse.SUPPRESS, help="as for models")
    parser.set_defaults(run=run)
    return parser


def _add(chosen: argparse.Namespace) -> int:
    models = open_home(chosen.home).models
    if (chosen.folder is None) == (chosen.hub is None):
        sys.stderr.write("maquette: give either a folder or --hub OWNER/NAME\n")
        return 2
    try:
        loras = tuple(lora_from(text) for text in chosen.lora)
    except argparse.ArgumentTypeError as error:
        sys.stderr.write(f"maquette: {error}\n")
        return 2
    folder, source = chosen.folder, "local folder"
    if chosen.hub is not None:
        folder, source = download(
            models, chosen.name, chosen.hub, chosen.revision or "", chosen.variant, control=chosen.control is not None
        )
    if chosen.control is None and is_control(folder):
        sys.stderr.write(f"maquette: {folder} is a ControlNet: say what its pictures show, --control depth or --control normal\n")
        return 2
    if chosen.control is not None and loras:
        sys.stderr.write("maquette: --lora is for whole models, and not for a ControlNet\n")
        return 2
    if chosen.control is not None and (chosen.compile or chosen.vae):
        sys.stderr.write("maquette: --compile and --vae are for whole models, and not for a ControlNet\n")
        return 2
    if chosen.vae is not None:
        folder = with_vae(models, chosen.name, folder, chosen.vae)
        source += f", with the VAE of {chosen.vae.name}"
    described = describe_control(chosen.name, folder, chosen.control, source) if chosen.control else None
    model = described or describe(chosen.name, folder, source, loras, chosen.compile or "")
    register(models, model)
    _say(f"{model.name}  {model.family}, {gigabytes(model.size)}, {len(model.files)} files, {model.identity}")
    return 0


def _list(chosen: argparse.Namespace) -> int:
    for name in BUILT_IN:
        _say(f"{name}  shipped with the backend")
    for model in read_registry(models_folder(chosen.home)).values():
        loras = f", {len(model.loras)} LoRA" if model.loras else ""
        loras += f", compiled by {model.compiler}" if model.compiler else ""
        shows = f" ({model.shows})" if model.shows else ""
        _say(f"{model.name}  {model.family}{shows}, {gigabytes(model.size)}{loras}, {model.source}: {model.folder}")
    return 0


def _verify(chosen: argparse.Namespace) -> int:
    known = read_registry(models_folder(chosen.home))
    asked = list(known.values()) if chosen.name is None else [find(known, chosen.name)]
    bad = [model for model in asked if not _verified(model)]
    return 1 if bad else 0


def _verified(model: Model) -> bool:
    found = list(model.problems(thorough=True))
    try:
        inspect(model)
    except MaquetteError as error:
        found.append(str(error))
    for problem in found:
        _say(f"{model.name}: {problem}")
    if found:
        _say(f"{model.name}: restore these files, or register it anew: models remove {model.name}, then models add.")
    else:
        _say(f"{model.name}: {len(model.files) + len(model.loras)} files are as they were registered")
    return not found


def _remove(chosen: argparse.Namespace) -> int:
    models = models_folder(chosen.home)
    gone = unregister(models, chosen.name)
    if forget(models, gone):
        shutil.rmtree(gone.folder)
        _say(f"removed {gone.name} and the files that were fetched for it")
    else:
        _say(f"removed {gone.name} from the list; its files in {gone.folder} stay")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")

"""The models that a backend's owner has registered: a small JSON file in the backend's home. Free of torch.

Clients only ever see and send names; folders and hashes stay here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from maquette_protocol.errors import ErrorCode, MaquetteError

from maquette_backend.priors.control_folder import inspect_control
from maquette_backend.priors.model_folder import inspect_folder, read_json

FILE = "registry.json"
FORMAT = 1
MAX_MODELS = 64
STARTER = "starter"
STARTER_VIEWS = "starter-4-views"
"""The starter with each four views of one subject hearing each other."""
BUILT_IN = (STARTER, STARTER_VIEWS)
CONTROL_NET = "controlnet"
"""The family of models that are no priors."""
Shows = Literal["depth", "normal"]
"""What a ControlNet's pictures are of: nothing in its folder says so, the owner does."""
COMPILERS = ("inductor", "cudagraphs", "aot_eager", "eager")
"""Backends of ``torch.compile``; the first is the one to use, the last two compile next to nothing and show what is wrong."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_HASH_CHUNK = 1 << 20


@dataclass(frozen=True)
class FileRecord:
    """One file as it was when the model was registered."""

    path: str
    """Relative to the model's folder; absolute for a LoRA."""
    sha256: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class Lora:
    """A low-rank addition that is folded into the model when it is loaded."""

    file: FileRecord
    scale: float = 1.0


@dataclass(frozen=True)
class Model:
    """A registered model."""

    name: str
    family: str
    folder: Path
    source: str
    """"local folder", or the Hub's id and revision."""
    files: tuple[FileRecord, ...]
    loras: tuple[Lora, ...] = ()
    shows: Shows | None = None
    """Of a ControlNet alone."""
    compiler: str = ""
    """The backend of ``torch.compile`` that its network runs through; empty: none."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self._all())

    @property
    def identity(self) -> str:
        """Its name and the first 16 hex digits of a hash over the files' hashes, LoRAs and their scales."""
        lines = [f"{file.path} {file.sha256}" for file in sorted(self.files, key=lambda one: one.path)]
        lines += [f"lora {lora.file.sha256} {lora.scale!r}" for lora in self.loras]
        lines += [f"shows {self.shows}"] if self.shows else []
        lines += [f"compiler {self.compiler}"] if self.compiler else []
        return f"{self.name}:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:16]}"

    def _all(self) -> tuple[FileRecord, ...]:
        return (*self.files, *(lora.file for lora in self.loras))

    def problems(self, *, thorough: bool) -> Iterator[str]:
        """Every file that is missing or not what it was. Hashes are computed anew for files whose size or date has
        changed, and when ``thorough`` for all."""
        for file in self._all():
            path = self.folder / file.path
            if not path.is_file():
                yield f"{path} is missing"
            elif path.stat().st_size != file.size:
                yield f"{path} has {path.stat().st_size} bytes; {file.size} were registered"
            elif (thorough or path.stat().st_mtime_ns != file.modified_ns) and sha256_of(path) != file.sha256:
                yield f"{path} does not have the registered SHA-256 {file.sha256[:16]}…"


def read_registry(models: Path) -> dict[str, Model]:
    """Registered models by name, in the order of registering; ``models`` is the home's folder for them.

    Raises:
        MaquetteError: INTERNAL, the file can't be read.
    """
    path = models / FILE
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, not {FORMAT}")
        return {name: _model(name, one) for name, one in content["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = f"The list of registered models {path} can't be read: {error}."
        raise MaquetteError(ErrorCode.INTERNAL, text, "Delete it and register the models again.") from error


def describe(
    name: str,
    folder: Path,
    source: str = "local folder",
    loras: tuple[tuple[Path, float], ...] = (),
    compiler: str = "",
) -> Model:
    """Look at a folder and hash everything in it that will be read. Changes nothing. ``compiler``: one of ``COMPILERS``, or
    empty.

    Raises:
        MaquetteError: INVALID_RECIPE for a bad name; UNKNOWN_PRIOR for a folder or LoRA that can't be used.
    """
    check_name(name)
    folder = folder.expanduser().resolve()
    found = inspect_folder(folder)
    loaded = tuple(_lora(path, scale) for path, scale in loras)
    return Model(name, found.family.name, folder, source, _records(folder, found.files), loaded, compiler=compiler)


def describe_control(name: str, folder: Path, shows: Shows, source: str = "local folder") -> Model:
    """The same for a ControlNet that is shown pictures of that kind.

    Raises:
        MaquetteError: INVALID_RECIPE for a bad name; UNKNOWN_PRIOR for a folder that can't be used.
    """
    check_name(name)
    folder = folder.expanduser().resolve()
    return Model(name, CONTROL_NET, folder, source, _records(folder, inspect_control(folder).files), shows=shows)


def inspect(model: Model) -> None:
    """Look at a registered model's folder. Raises MaquetteError UNKNOWN_PRIOR with what is wrong and what to do."""
    (inspect_control if model.shows else inspect_folder)(model.folder)


def check_name(name: str) -> None:
    """Raises MaquetteError INVALID_RECIPE for what no model can be called."""
    if not _NAME.fullmatch(name) or name in BUILT_IN:
        text = f"“{name}” can't be a model's name."
        remedy = f"Use a to z, digits, dots, dashes and underscores, at most 63, and not “{'” or “'.join(BUILT_IN)}”."
        raise MaquetteError(ErrorCode.INVALID_RECIPE, text, remedy)


def _records(folder: Path, files: tuple[Path, ...]) -> tuple[FileRecord, ...]:
    return tuple(_record(path, path.relative_to(folder).as_posix()) for path in files)


def register(models: Path, model: Model) -> None:
    """Add a model to the list. Raises MaquetteError CONFLICT if its name is taken, QUOTA_EXCEEDED if the list is full."""
    known = read_registry(models)
    if model.name in known:
        text = f"There is a model called “{model.name}” already, in {known[model.name].folder}."
        raise MaquetteError(ErrorCode.CONFLICT, text, f"Choose another name, or: models remove {model.name}.")
    if len(known) >= MAX_MODELS:
        raise MaquetteError(ErrorCode.QUOTA_EXCEEDED, f"{MAX_MODELS} models are registered.", "Remove one first.")
    _write(models, {**known, model.name: model})


def unregister(models: Path, name: str) -> Model:
    """Take a model off the list; its files stay. Raises MaquetteError UNKNOWN_PRIOR."""
    known = read_registry(models)
    gone = find(known, name)
    _write(models, {key: one for key, one in known.items() if key != name})
    return gone


def find(known: dict[str, Model], name: str) -> Model:
    """The model of that name. Raises MaquetteError UNKNOWN_PRIOR, which names those that exist."""
    return _found(known, name, "prior", (*BUILT_IN, *known))


def find_prior(known: dict[str, Model], name: str) -> Model:
    """The same, but a ControlNet is none."""
    priors = {one: model for one, model in known.items() if not model.shows}
    return _found(priors, name, "prior", (*BUILT_IN, *priors))


def find_control(known: dict[str, Model], name: str) -> Model:
    """The ControlNet of that name. Raises MaquetteError UNKNOWN_PRIOR, which names those that exist."""
    controls = {one: model for one, model in known.items() if model.shows}
    return _found(controls, name, "ControlNet", tuple(controls))


def _found(known: dict[str, Model], name: str, what: str, names: tuple[str, ...]) -> Model:
    if name not in known:
        there = ", ".join(names) or "none"
        raise MaquetteError(ErrorCode.UNKNOWN_PRIOR, f"There is no {what} called “{name}”.", f"Choose one of: {there}.")
    return known[name]


def sha256_of(path: Path) -> str:
    """64 hex digits. Reads in pieces: a model has gigabytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_HASH_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _lora(path: Path, scale: float) -> Lora:
    path = path.expanduser().resolve()
    if path.suffix != ".safetensors" or not path.is_file():
        what = "there is no such file" if not path.is_file() else "it is no .safetensors file"
        text = f"The LoRA {path} can't be used: {what}."
        raise MaquetteError(ErrorCode.UNKNOWN_PRIOR, text, "Give a LoRA as a single .safetensors file.")
    return Lora(_record(path, str(path)), scale)


def _record(path: Path, name: str) -> FileRecord:
    about = path.stat()
    return FileRecord(name, sha256_of(path), about.st_size, about.st_mtime_ns)


def _model(name: str, plain: dict[str, Any]) -> Model:
    files = tuple(FileRecord(**file) for file in plain["files"])
    loras = tuple(Lora(FileRecord(**lora["file"]), float(lora["scale"])) for lora in plain["loras"])
    shows = plain.get("shows")
    if shows is not None and shows not in get_args(Shows):
        raise ValueError(f"“{name}” shows {shows}")
    compiler = str(plain.get("compiler", ""))
    if compiler and compiler not in COMPILERS:
        raise ValueError(f"“{name}” is compiled by {compiler}")
    return Model(name, str(plain["family"]), Path(plain["folder"]), str(plain["source"]), files, loras, shows, compiler)


def _write(models: Path, known: dict[str, Model]) -> None:
    """Replaced whole: a reader sees the old list or the new one."""
    plain = {name: asdict(model) | {"folder": str(model.folder)} for name, model in known.items()}
    models.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = models / f".{FILE}.{os.getpid()}"
    fresh.write_text(json.dumps({"format": FORMAT, "models": plain}, indent=1) + "\n", encoding="utf-8")
    fresh.chmod(0o600)
    fresh.replace(models / FILE)


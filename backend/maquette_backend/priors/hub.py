"""Models fetched from the Hugging Face Hub: only when the owner registers one, and only at a pinned commit."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from maquette_protocol.errors import ErrorCode, MaquetteError

from maquette_backend.priors.registry import Model, read_registry

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ID = re.compile(r"[\w.-]+/[\w.-]+")
_READ = ("model_index.json", "*/*.json", "*/*.txt", "*/*.model")
Fetch = Callable[[str, str, Path, list[str], list[str]], None]
"""Repository, commit, folder, patterns to take and patterns to leave: puts the files into the folder."""


def snapshot(repository: str, revision: str, folder: Path, take: list[str], leave: list[str]) -> None:
    """Fetch with huggingface_hub. Raises what that raises."""
    from huggingface_hub import snapshot_download

    snapshot_download(repository, revision=revision, local_dir=folder, allow_patterns=take, ignore_patterns=leave)


def download(
    models: Path,
    name: str,
    repository: str,
    revision: str,
    variant: str | None,
    fetch: Fetch = snapshot,
    *,
    control: bool = False,
) -> tuple[Path, str]:
    """Fetch a model's safetensors and configurations into the home; its folder, and where it is from.

    ``control``: it is a ControlNet, whose files lie at the top.

    Raises:
        MaquetteError: INVALID_RECIPE for an id or commit that is none; CONFLICT if the name is taken; UNREACHABLE if it
            could not be fetched, then what did arrive stays for the next try.
    """
    if not _ID.fullmatch(repository):
        raise MaquetteError(ErrorCode.INVALID_RECIPE, f"“{repository}” is no Hub id.", "Write OWNER/NAME.")
    if not _COMMIT.fullmatch(revision):
        text = f"“{revision}” is no commit; a branch or tag can change after you have looked at it."
        raise MaquetteError(ErrorCode.INVALID_RECIPE, text, "Give --revision the 40 hex digits of the Hub's commit page.")
    if name in read_registry(models):
        raise MaquetteError(ErrorCode.CONFLICT, f"There is a model called “{name}” already.", "Choose another name.")
    folder = models / "fetched" / f"{repository.replace('/', '--')}@{revision}"
    read, place = (("config.json", "*.safetensors.index*.json"), "*") if control else (_READ, "*/*")
    take = [*read, f"{place}.{variant}*.safetensors" if variant else f"{place}.safetensors"]
    # an index of shards that are not fetched would only say that they are missing
    leave = ["*non_ema*", "*.safetensors.index.json" if variant else "*.fp16.*"]
    try:
        fetch(repository, revision, folder, take, leave)
    except (OSError, ValueError, RuntimeError) as error:  # what the library raises derives from these
        first_line = str(error).strip().partition("\n")[0]
        text = f"{repository} at {revision[:12]} could not be fetched: {first_line}"
        raise MaquetteError(ErrorCode.UNREACHABLE, text, "Fetch it elsewhere and register the local folder.") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the library's own notes, of no use here
    return folder, f"{repository}@{revision}"


def forget(models: Path, gone: Model) -> bool:
    """Whether a model's files were fetched by this backend and no other registered model uses them."""
    fetched = (models / "fetched").resolve()
    in_use = any(one.folder == gone.folder for one in read_registry(models).values())
    return fetched in gone.folder.resolve().parents and gone.folder.is_dir() and not in_use

"""``doctor``: what this machine has for the work, and what to do about what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from maquette_protocol.auth import read_connection
from maquette_protocol.errors import MaquetteError

from ..priors.catalogue import prior_names
from ..priors.registry import inspect, read_registry
from ..server.home import Home, default_home

MIN_FREE_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``remedy`` is empty when nothing has to be done."""

    name: str
    fine: bool
    found: str
    remedy: str = ""
    needed: bool = True
    """Without it the main job can't run."""


def findings(home_folder: Path | None) -> list[Finding]:
    """Look at everything; changes nothing."""
    home = Home((home_folder or default_home()).expanduser().resolve())
    cores = Finding("processor", True, f"{os.cpu_count()} cores, {platform.machine()}")
    python = Finding("Python", True, platform.python_version())
    packages = [_package(name, "") for name in ("numpy", "torch", "numba", "scipy", "safetensors", "xatlas", "libigl")]
    faster = [
        _package("nvdiffrast", "Only worth it with a CUDA GPU: see nvidia's installation guide for nvdiffrast.", False),
        _package("kaolin", "Only worth it with a CUDA GPU: see nvidia's installation guide for kaolin.", False),
    ]
    return [python, cores, _memory(), _gpu(), *packages, *faster, *_priors(), *_models(home), _disk(home), _connection(home)]


def report(found: list[Finding], out: TextIO) -> int:
    """Write a line for each finding; returns 0 when the main job can run."""
    width = max(len(finding.name) for finding in found)
    for finding in found:
        out.write(f"{'OK     ' if finding.fine else 'missing'}  {finding.name:<{width}}  {finding.found}\n")
        if not finding.fine and finding.remedy:
            out.write(f"{'':<{width + 11}}→ {finding.remedy}\n")
    blockers = [finding.name for finding in found if finding.needed and not finding.fine]
    out.write(f"The main job can't run without: {', '.join(blockers)}.\n" if blockers else "The main job can run.\n")
    return 1 if blockers else 0


def _package(name: str, remedy: str, needed: bool = True) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name), needed=needed)
    except importlib.metadata.PackageNotFoundError:
        advice = remedy or "Install the backend with its dependencies: pip install maquette[backend]."
        return Finding(name, False, "not installed", advice, needed)


def _memory() -> Finding:
    if not hasattr(os, "sysconf"):
        return Finding("memory", True, "not told by this system", needed=False)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Finding("memory", total >= 3, f"{total:.1f} GiB", "The main job needs about 3 GiB.", needed=False)


def _gpu() -> Finding:
    remedy = "A job runs on the processor, in minutes. For a GPU, install the CUDA build of torch."
    if importlib.util.find_spec("torch") is None:
        return Finding("GPU", False, "torch is not installed, so nothing is known", remedy, needed=False)
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", False, "no CUDA device", remedy, needed=False)
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return Finding("GPU", True, f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, CUDA {torch.version.cuda}")


def _priors() -> Iterator[Finding]:
    """Each prior is loaded: the only proof that it can be."""
    for name in prior_names():
        try:
            from ..priors.load import load_prior

            yield Finding(f"prior {name}", True, load_prior(name, "cpu").identity)
        except (MaquetteError, ImportError, OSError) as error:
            yield Finding(f"prior {name}", False, str(error), "Install the backend again: its files are incomplete.")


def _models(home: Home) -> Iterator[Finding]:
    """Each registered model: whether its files are there and what they were, without loading gigabytes."""
    try:
        known = read_registry(home.models)
    except MaquetteError as error:
        yield Finding("models", False, error.message, error.remedy, needed=False)
        return
    for model in known.values():
        name = f"model {model.name}"
        problem = next(model.problems(thorough=False), None)
        try:
            inspect(model)
        except MaquetteError as error:
            yield Finding(name, False, error.message, error.remedy, needed=False)
            continue
        if problem is None:
            yield Finding(name, True, f"{model.family}, {model.size / 1e9:.1f} GB, {model.identity}", needed=False)
        else:
            again = f"Put it back, or register it anew: models remove {model.name}, then models add."
            yield Finding(name, False, problem, again, needed=False)


def _disk(home: Home) -> Finding:
    folder = home.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("disk", free >= MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB free for {home.root}", "Free 2 GiB there.")


def _connection(home: Home) -> Finding:
    remedy = "Start the backend: python -m maquette_backend serve, or the Start button in Blender."
    try:
        connection = read_connection(home.connection_file)
    except MaquetteError as error:
        return Finding("backend", False, error.message, remedy, needed=False)
    return Finding("backend", True, f"runs at {connection.endpoint}, process {connection.pid}", needed=False)

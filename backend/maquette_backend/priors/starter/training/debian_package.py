"""Fetches and unpacks one of Debian's packages, without being root."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path


def obtain_package(package: str, cache: Path) -> Path:
    """The ``package*.deb`` in ``cache``; fetched at the first call. Raises RuntimeError if it can't be."""
    found = sorted(cache.glob(f"{package}*.deb"))
    if found:
        return found[0]
    cache.mkdir(parents=True, exist_ok=True)
    # into a folder of its own first: an interrupted download must not look like a package
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        _run(["apt-get", "download", package], Path(folder), package)
        (deb,) = Path(folder).glob("*.deb")
        return Path(shutil.move(deb, cache / deb.name))


def unpack_package(package: str, deb: Path, folder: Path) -> None:
    """Writes the package's files below ``folder``. Raises RuntimeError if it can't."""
    _run(["dpkg", "-x", str(deb), str(folder)], deb.parent, package)


def _run(command: list[str], cwd: Path, package: str) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        raise RuntimeError(
            f"`{' '.join(command)}` failed: {detail.strip()}. Making the data needs Debian's tools; without a package "
            f"source, put the package {package} (.deb) into the cache folder and try again."
        ) from error

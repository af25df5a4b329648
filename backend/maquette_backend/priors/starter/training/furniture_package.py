"""Obtains the furniture models: Debian's package sweethome3d-furniture, unpacked without root."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maquette_backend.priors.starter.training.debian_package import obtain_package, unpack_package

PACKAGE = "sweethome3d-furniture"
_UNPACKED = Path("usr/share/sweethome3d/furniture")
_LICENCES = {
    "BlendSwap-CC-0": ("CC0-1.0", "the Blend Swap contributors and Emmanuel Puybaret / eTeks"),
    "BlendSwap-CC-BY": ("CC-BY-3.0", "the Blend Swap contributors"),
    "KatorLegaz": ("CC-BY-3.0-US", "2003-2008 Andrew Kator & Jennifer Legaz"),
    "Reallusion": ("CC-BY-3.0-US", "2008-2016 Reallusion <http://www.reallusion.com>"),
    "Scopia": ("CC-BY-3.0", "2010-2012 Scopia Visual Interfaces Systems, s.l. <http://www.scopia.es>"),
}
"""Licence and copyright holder of each archive, as the package's copyright file states them."""


@dataclass(frozen=True)
class FurnitureModel:
    """One model of the package's catalogues."""

    archive: str
    """Name of its archive, without suffix."""
    path: str
    """Of the OBJ file in the archive; with ``archive`` it names the model for good."""
    name: str
    category: str
    tags: tuple[str, ...]
    creator: str
    licence: str
    """SPDX identifier."""
    holder: str
    """Copyright holder of the archive."""
    rotation: tuple[float, ...] | None
    """Row-major 3×3 that brings the model upright, front to +Z; None means the identity."""


def obtain_furniture(cache: Path) -> Path:
    """The folder of ``*.sh3f`` archives, fetched into ``cache`` at the first call; its SHA-256 is recorded.

    A ``sweethome3d-furniture*.deb`` that already lies in ``cache`` is used as it is. Raises RuntimeError if the
    package can't be fetched.
    """
    cache = cache.resolve()
    root = cache / PACKAGE
    if not (root / "package.json").exists():
        deb = obtain_package(PACKAGE, cache)
        shutil.rmtree(root, ignore_errors=True)
        unpack_package(PACKAGE, deb, root)
        about = {"file": deb.name, "sha256": hashlib.sha256(deb.read_bytes()).hexdigest()}
        (root / "package.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return root / _UNPACKED


def package_record(cache: Path) -> dict[str, str]:
    """File name and SHA-256 of the package that ``obtain_furniture`` unpacked."""
    return json.loads((cache / PACKAGE / "package.json").read_text(encoding="utf-8"))


def furniture_models(folder: Path) -> list[FurnitureModel]:
    """All models of all archives in ``folder``, in a fixed order."""
    return [model for archive in sorted(folder.glob("*.sh3f")) for model in _models_of(archive)]


def parse_catalog(text: str, archive: str) -> Iterator[FurnitureModel]:
    """Reads a ``*Catalog.properties`` file: lines ``key#number=value``."""
    licence, holder = _LICENCES[archive]
    entries: dict[int, dict[str, str]] = {}
    for key, number, value in re.findall(r"^(\w+)#(\d+)=(.*)$", text, re.MULTILINE):
        entries.setdefault(int(number), {})[key] = value.strip()
    for _, entry in sorted(entries.items()):
        yield FurnitureModel(
            archive=archive,
            path=entry["model"].lstrip("/"),
            name=_unescaped(entry["name"]),
            category=entry["category"],
            tags=tuple(tag.strip() for tag in entry.get("tags", "").split(",") if tag.strip()),
            creator=entry.get("creator", ""),
            licence=licence,
            holder=holder,
            rotation=_rotation(entry.get("modelRotation")),
        )


def _models_of(archive: Path) -> list[FurnitureModel]:
    with zipfile.ZipFile(archive) as opened:
        catalog = next(name for name in opened.namelist() if name.endswith("Catalog.properties"))
        return list(parse_catalog(opened.read(catalog).decode("latin1"), archive.stem))


def _unescaped(text: str) -> str:
    """Java properties write what Latin-1 lacks as ``\\u20ac``."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)


def _rotation(text: str | None) -> tuple[float, ...] | None:
    if not text:
        return None
    numbers = tuple(float(number) for number in text.split())
    if len(numbers) != 9:
        raise ValueError(f"modelRotation needs 9 numbers, not {len(numbers)}: {text}")
    return numbers

"""Encoded maps → Blender's images, packed or beside the .blend, none of which takes the main thread long.

A picture that is stored without compression is read in a third of the time. So that is what Blender reads; the small
file then takes its place, in the .blend or on disk, and Blender keeps the pixels that it has.
"""

# bpy's stubs know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from . import png, udim


@dataclass(frozen=True)
class Encoded:
    """One map, ready to become an image."""

    name: str
    kind: str
    """One of ``surface_maps.LABELS``."""
    quick: bytes = b""
    """A PNG that is quickly read, of an image that is packed."""
    small: bytes = b""
    """The same pixels, compressed."""
    paths: Mapping[int, Path] = field(default_factory=dict)
    """Files that were written, by tile; one beside the .blend is the quick one, and its ``part_of`` the small one."""
    pattern: Path | None = None
    """Of a tiled image: the files' name with <UDIM> in it."""
    stays: bool = False
    """Whether the files are the artist's; else they go into the .blend."""


def encode(
    name: str, kind: str, pixels: NDArray[np.uint8], tiles: tuple[int, ...], folder: Path | None, scratch: Path
) -> Encoded:
    """The slow part, for any thread. pixels u1 [H,W] or [H,W,3]; with several tiles, all of them in a square.

    Args:
        folder: where the files go; none: into the .blend.
        scratch: for files that do not stay.
    """
    tile, *others = tiles
    if others:
        pattern = _free_path(folder or scratch, name, ".<UDIM>")
        paths = {number: Path(str(pattern).replace("<UDIM>", str(number))) for number in tiles}
        for number, part in udim.split_image(pixels, tiles).items():
            paths[number].write_bytes(png.encoded(part, small=True))
        return Encoded(name, kind, paths=paths, pattern=pattern, stays=folder is not None)
    quick, small = png.encoded(pixels, small=False), png.encoded(pixels, small=True)
    if folder is None:
        return Encoded(name, kind, quick, small)
    path = _free_path(folder, name, "")
    path.write_bytes(quick)
    _part_of(path).write_bytes(small)
    return Encoded(name, kind, paths={tile: path}, stays=True)


def make(encoded: Encoded) -> bpy.types.Image:
    """The image, read and ready to be drawn; for Blender's main thread.

    Raises:
        OSError: a file of it is gone again.
    """
    if encoded.pattern is not None:
        image = _tiled(encoded, encoded.pattern)
    elif encoded.stays:
        image = _beside(encoded)
    else:
        image = _packed(encoded)
    image.name = encoded.name
    return image


def _packed(encoded: Encoded) -> bpy.types.Image:
    image = bpy.data.images.new(encoded.name, 1, 1, alpha=False)
    # before the pixels are read: a change of colour space reads them again
    _set_color_space(image, encoded.kind)
    image.source = "FILE"
    image.pack(data=encoded.quick, data_len=len(encoded.quick))
    _read(image)
    image.pack(data=encoded.small, data_len=len(encoded.small))
    return image


def _beside(encoded: Encoded) -> bpy.types.Image:
    (path,) = encoded.paths.values()
    image = bpy.data.images.load(str(path), check_existing=False)
    _set_color_space(image, encoded.kind)
    _read(image)
    # at once: whoever reads the file meanwhile finds one or the other
    _part_of(path).replace(path)
    image.filepath_raw = _relative(path)
    return image


def _tiled(encoded: Encoded, pattern: Path) -> bpy.types.Image:
    """One image over all tiles' files."""
    image = bpy.data.images.load(str(next(iter(encoded.paths.values()))), check_existing=False)
    _set_color_space(image, encoded.kind)
    image.source = "TILED"
    image.filepath_raw = str(pattern)
    known = {tile.number for tile in image.tiles}
    for tile in encoded.paths:
        if tile not in known:
            image.tiles.new(tile)
    for tile in [one for one in image.tiles if one.number not in encoded.paths]:
        image.tiles.remove(tile)
    image.reload()
    _read(image)
    if encoded.stays:
        image.filepath_raw = _relative(pattern)
        return image
    image.pack()  # of a tiled image this keeps the files as they are
    for path in encoded.paths.values():
        path.unlink()
    image.filepath_raw = f"//{pattern.name}"
    return image


def _set_color_space(image: bpy.types.Image, kind: str) -> None:
    image.colorspace_settings.name = "sRGB" if kind == "COLOR" else "Non-Color"


def _read(image: bpy.types.Image) -> None:
    """Now, and not when a window is drawn, where all maps would come at once. To ask for its size is enough."""
    width, height = image.size
    if not width * height:
        raise OSError(f"Blender cannot read the image {image.name} that was just written.")


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _free_path(folder: Path, name: str, mark: str) -> Path:
    """A file that is not there yet: an older result's stay as they are. ``mark`` comes before the suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    clean = "".join(char if char.isalnum() or char in " -_()" else "_" for char in name).strip() or "map"
    number = 0
    while True:
        stem = f"{clean}.{number:03d}" if number else clean
        path = folder / f"{stem}{mark}.png"
        if not any(folder.glob(f"{_escaped(stem)}{'.[0-9][0-9][0-9][0-9]' if mark else ''}.png")):
            return path
        number += 1


def _escaped(stem: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in stem)


def _relative(path: Path) -> str:
    """To the .blend, as Blender writes it, where there is one."""
    return bpy.path.relpath(str(path)) if bpy.data.filepath else str(path)

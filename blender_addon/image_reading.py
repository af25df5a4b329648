"""An image's pixels at the size that is asked for, whatever it is: packed, linked, tiled, of any size. Changes nothing."""

# bpy's stubs know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from ._protocol import errors
from .refined import Floats

Code = errors.ErrorCode


def side_of(image: bpy.types.Image, tile: int) -> int:
    """Pixels of its longer side, 0 when it cannot be read."""
    if image.source == "TILED":
        found = next((one for one in image.tiles if one.number == tile), None)
        return 0 if found is None else max(found.size)
    return max(image.size)


def pixels(image: bpy.types.Image, size: int, tile: int = 1001) -> Floats:
    """[size,size,4] as stored (sRGB values of a byte image, linear ones of a float image), row 0 at the bottom.

    Raises:
        MaquetteError: the image cannot be read.
    """
    copy = _tile_copy(image, tile) if image.source == "TILED" else _copy(image)
    try:
        if not copy.size[0] * copy.size[1]:
            raise _unreadable(image)
        if tuple(copy.size) != (size, size):
            # before its pixels are asked for: as floats an 8192² image takes a gigabyte
            copy.scale(size, size)
        found = np.zeros((size, size, 4), np.float32)
        copy.pixels.foreach_get(found.ravel())
        return found
    finally:
        bpy.data.images.remove(copy)


def as_color(image: bpy.types.Image, values: Floats) -> NDArray[np.uint8]:
    """u1 [h,w,3] sRGB, as the image looks in a Base Color socket."""
    shown = values[..., :3] if _is_srgb(image) else encoded(values[..., :3])
    return to_bytes(shown)


def as_data(image: bpy.types.Image, values: Floats) -> Floats:
    """[h,w,4] numbers, as a shader reads the image: of one that is marked sRGB the linear ones."""
    if not _is_srgb(image):
        return values
    linear = values.copy()
    linear[..., :3] = np.where(values[..., :3] <= 0.04045, values[..., :3] / 12.92, ((values[..., :3] + 0.055) / 1.055) ** 2.4)
    return linear


def encoded(linear: Floats) -> Floats:
    """Linear light → sRGB (IEC 61966-2-1)."""
    clipped = np.clip(linear, 0, 1)
    return np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055).astype(np.float32)


def to_bytes(values: Floats) -> NDArray[np.uint8]:
    """0..1 → u1, rounded."""
    return np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8)


def _is_srgb(image: bpy.types.Image) -> bool:
    """Whether its stored values are sRGB: a float image's pixels are linear already."""
    return not image.is_float and image.colorspace_settings.name not in ("Non-Color", "Raw", "Linear", "Linear Rec.709")


def _copy(image: bpy.types.Image) -> bpy.types.Image:
    """The image by itself, to be scaled. What was painted and not saved yet is in the original alone: Blender's copy is read
    from the file again."""
    if not image.is_dirty or not image.size[0] * image.size[1]:
        return image.copy()
    copy = bpy.data.images.new(image.name, *image.size, alpha=True, float_buffer=image.is_float)
    copy.colorspace_settings.name = image.colorspace_settings.name
    values = np.zeros(image.size[0] * image.size[1] * image.channels, np.float32)
    image.pixels.foreach_get(values)
    spread = np.ones((len(values) // image.channels, 4), np.float32)
    spread[:, : image.channels] = values.reshape(-1, image.channels)
    copy.pixels.foreach_set(spread.ravel())
    return copy


def _tile_copy(image: bpy.types.Image, tile: int) -> bpy.types.Image:
    """One tile of a UDIM image as an image of its own: Blender gives scripts the pixels of the first alone."""
    if all(one.number != tile for one in image.tiles):
        raise _bad(
            f"The image {image.name} has no tile {tile}, where the object has UVs.",
            "Add the tile to the image, or move the UVs.",
        )
    if image.is_dirty:
        raise _bad(
            f"The image {image.name} has several tiles and was painted on since it was saved.",
            "Save it first (in the Image Editor, Image > Save All Images, or Pack).",
        )
    packed = next((one for one in image.packed_files if one.tile_number == tile), None)
    if packed is not None:
        copy = bpy.data.images.new(image.name, 1, 1)
        copy.source = "FILE"
        copy.pack(data=packed.packed_file.data, data_len=packed.packed_file.size)
    else:
        path = bpy.path.abspath(image.filepath, library=image.library).replace("<UDIM>", str(tile))
        if not Path(path).is_file():
            raise _unreadable(image)
        copy = bpy.data.images.load(path, check_existing=False)
    copy.colorspace_settings.name = image.colorspace_settings.name
    return copy


def _unreadable(image: bpy.types.Image) -> errors.MaquetteError:
    path = bpy.path.abspath(image.filepath, library=image.library)
    where = f": there is no file {path}" if path and not Path(path.replace("<UDIM>", "1001")).is_file() else ""
    return _bad(
        f"The image {image.name} cannot be read{where}.",
        "Find it again (File > External Data > Find Missing Files), or take it out of the material.",
    )


def _bad(message: str, remedy: str) -> errors.MaquetteError:
    return errors.MaquetteError(Code.INVALID_RECIPE, message, remedy)

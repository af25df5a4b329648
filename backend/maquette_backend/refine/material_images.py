"""The four maps of a material as images: what was learned over what was given."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.appearance.color_space import srgb_from_linear
from maquette_backend.appearance.material_maps import SurfaceImages, linear_texels, texels_of
from maquette_backend.refine.canvas import Canvas
from maquette_backend.refine.images import Maps, finished
from maquette_backend.refine.material_skin import MaterialSkin
from maquette_backend.refine.unseen import faded

_CHUNK = 1 << 17
Bytes = NDArray[np.uint8]


def changed_images(canvas: Canvas, given: SurfaceImages, skin: MaterialSkin) -> SurfaceImages:
    """``given`` maps as a volume has them changed; normals stay."""
    texels = canvas.texels
    values = linear_texels(texels_of(given)[torch.from_numpy(texels.covered)])
    rows = torch.cat([values, torch.from_numpy(canvas.share)[:, None]], 1)
    points, device = torch.from_numpy(texels.points), canvas.device
    parts = []
    with torch.no_grad():
        for row, point in zip(rows.split(_CHUNK), points.split(_CHUNK), strict=True):
            found = skin.changed(row.to(device), point.to(device), 1 - canvas.given.keep_look)
            values = torch.cat([srgb_from_linear(found.albedo), found.roughness, found.metallic], 1)
            parts.append((values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())
    values = np.concatenate(parts) if parts else np.zeros((0, 5), np.uint8)
    return SurfaceImages(
        texels.image(values[:, :3], given.base_color),
        texels.image(values[:, 3], given.roughness),
        texels.image(values[:, 4], given.metallic),
        given.normal,
    )


def moved_images(canvas: Canvas, images: SurfaceImages, moved: Tensor, seen: NDArray[np.bool_]) -> SurfaceImages:
    """Maps with a change [1,h,w,8] of ``texels_of`` added that was learned at a smaller size, seams brought together; texels
    that are not ``seen`` [P] will be filled in."""
    change = whole_change(canvas, moved, canvas.mobile(seen))
    texels = texels_of(images) + change[0].permute(1, 2, 0)
    normal = nn.functional.normalize(texels[..., 5:], dim=-1, eps=1e-6) * 0.5 + 0.5
    stored = (torch.cat([texels[..., :5], normal], -1).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    still = (change[0] == 0).all(0).all(-1).numpy()  # an upright normal does not survive being normalised to the bit
    parts = zip((slice(0, 3), 3, 4, slice(5, 8)), vars(images).values(), strict=True)
    return SurfaceImages(*(_where(still, old, np.ascontiguousarray(stored[..., part])) for part, old in parts))


def whole_change(canvas: Canvas, change: Tensor, mobile: NDArray[np.bool_]) -> Tensor:
    """A change [1,h,w,C] that was learned at a smaller size, at the texture's own [1,C,S,S].

    Seams are brought together twice, by texels [S,S] that are ``mobile``: at the size at which they came apart, and then what
    is left beside their edges.
    """
    even = canvas.evened(change, mobile).permute(0, 3, 1, 2)
    if even.shape[2] == canvas.size:
        return even
    whole = nn.functional.interpolate(even, (canvas.size, canvas.size), mode="bilinear", align_corners=False)
    return canvas.evened(whole.permute(0, 2, 3, 1), mobile).permute(0, 3, 1, 2)


def finished_maps(canvas: Canvas, images: SurfaceImages, seen: NDArray[np.bool_]) -> Maps:
    """What the artist gets: kept texels to the bit, the base colour no further than the look allows, unseen ones filled."""
    given, covered = canvas.given, canvas.texels.covered
    base = images.base_color
    if given.base_color is not None:
        reach = int(255 * (1 - given.keep_look))
        start = given.base_color.astype(np.int16)
        base = np.clip(base.astype(np.int16), start - reach, start + reach).clip(0, 255).astype(np.uint8)
    normal = images.normal[covered]
    if given.normal is None:
        normal = faded(normal, canvas.texels, seen & (canvas.share > 0))
    everything = np.ones_like(seen)
    return Maps(
        finished(canvas, base[covered], given.base_color, seen),
        finished(canvas, images.roughness[covered][:, None], given.roughness, seen)[..., 0],
        finished(canvas, images.metallic[covered][:, None], given.metallic, seen)[..., 0],
        finished(canvas, normal, given.normal, everything),
    )


def _where(still: NDArray[np.bool_], old: Bytes, new: Bytes) -> Bytes:
    return np.where(still if old.ndim == 2 else still[..., None], old, new)

"""What is learned of a subject's appearance: a colour at each point of its surface, from nothing or from given maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.appearance.fields import ColorField
from maquette_backend.refine.given import Given
from maquette_backend.refine.texel_map import TexelMap
from maquette_backend.render.scene_render import SurfacePoints
from maquette_backend.render.shading import HeadLight
from maquette_backend.render.texturing import level_of_detail, sample_texture

CLEAREST = 0.02
"""Given colours are learned from as if they were this far from black and white: from the very ends no step leads away."""


class Skin(Protocol):
    """Something that is learned of a surface. An ``nn.Module``."""

    def overall(self) -> list[nn.Parameter]:
        """Learned first and fast."""
        ...

    def detail(self) -> list[nn.Parameter]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state_dict: dict[str, Tensor]) -> object: ...


@dataclass(frozen=True)
class Start:
    """Given colours and how far they may be left, as a picture that is looked up."""

    picture: Tensor
    """[1,h,w,4]: sRGB 0..1, share 0..1"""

    def at(self, seen: SurfacePoints) -> tuple[Tensor, Tensor]:
        """Colours [P,3] and shares [P,1]."""
        size = (self.picture.shape[1], self.picture.shape[2])
        level = level_of_detail(seen.uv_da, size)
        found = sample_texture(self.picture, seen.uv[None], level[None])[0]
        return found[:, :3], found[:, 3:]


class ColorSkin(nn.Module):
    """Base colour under the head light that follows the camera."""

    def __init__(self, field: ColorField, start: Start | None = None, light: HeadLight | None = None) -> None:
        super().__init__()
        self.field = field
        self.start = start
        self.light = light or HeadLight()

    def shown(self, seen: SurfacePoints) -> Tensor:
        """Colours as they are shown [P,3], 0..1, light included."""
        return self.color(seen) * self.light.shade(seen.normal_camera, seen.normal[:, 2])[:, None]

    def color(self, seen: SurfacePoints) -> Tensor:
        """Base colours [P,3] sRGB."""
        if self.start is None:
            return self.field(seen.points)
        given, share = self.start.at(seen)
        return left(given, share, self.field, seen.points)

    def overall(self) -> list[nn.Parameter]:
        return [self.field.base]

    def detail(self) -> list[nn.Parameter]:
        return list(self.field.grid.parameters())


def left(given: Tensor, share: Tensor, field: ColorField, points: Tensor) -> Tensor:
    """Given colours [P,3] as the field has them changed, at most by ``share`` [P,1]: 0 gives them back as they are."""
    logits = torch.logit(given.clamp(CLEAREST, 1 - CLEAREST)) + field.base + field.grid(points)
    return given + share * (torch.sigmoid(logits) - given)


def start_of(given: Given, share: NDArray[np.float32], texels: TexelMap, largest: int, device: torch.device) -> Start | None:
    """What a skin starts from, thinned out to at most ``largest`` px: finer than what a picture shows costs only time.

    ``share`` [P] as ``given.shares`` has it.
    """
    if given.base_color is None:
        return None
    shares = texels.image(share * (1 - given.keep_look), np.zeros((texels.size,) * 2, np.float32))
    picture = np.concatenate([given.base_color.astype(np.float32) / 255, shares[..., None]], -1)
    whole = torch.from_numpy(picture)[None].to(device)
    while min(whole.shape[1:3]) > largest and not whole.shape[1] % 2 and not whole.shape[2] % 2:
        whole = nn.functional.avg_pool2d(whole.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    return Start(whole.contiguous())

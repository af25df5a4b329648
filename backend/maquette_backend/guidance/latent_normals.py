"""Normals and coverage shown to a latent diffusion model as if they were its latents: the coarse phase of the geometry.

Fantasia3D (Chen et al. 2023) and after it X-Dreamer (Ma et al. 2023): at the size of the latents nothing passes the VAE,
so a step is quick, and its gradient reaches the shape at once. Models of Stable Diffusion's kind bear it because latents
look much like small pictures.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS = 4
"""Three of a normal, one of coverage: what latents must have."""


def as_latents(normals: Tensor, mask: Tensor, camera_from_world: Tensor, turn: Tensor, size: tuple[int, int]) -> Tensor:
    """Latents [B,4,h,w]: world normals in −1..1 after ``turn``, and coverage 0..1; the background is 0. Differentiable.

    ``normals`` [B,3,H,W] are the camera's, 0 on the background; ``mask`` [B,1,H,W]; ``camera_from_world`` [B,4,4];
    ``turn`` [3,3] the step's rotation; ``size`` h and w. Bilinear over all that lies under a latent, where the releases
    look at four pixels of it.
    """
    turned = torch.einsum("xw,bcw,bchv->bxhv", turn, camera_from_world[:, :3, :3], normals)
    return F.interpolate(torch.cat([turned, mask], 1), size, mode="bilinear", antialias=True, align_corners=False)


def random_turn(generator: torch.Generator) -> Tensor:
    """A rotation [3,3], all alike probable: of a quaternion in a random direction (Shoemake 1992), drawn on the CPU.

    With another one in each step no direction in space gets a colour of its own.
    """
    w, x, y, z = F.normalize(torch.randn(4, generator=generator), dim=0).unbind()
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows).view(3, 3)

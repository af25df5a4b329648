"""sRGB and linear light, exactly as IEC 61966-2-1 has them. Values 0..1, any shape."""

from __future__ import annotations

import torch
from torch import Tensor

_LINEAR_KNEE = 0.0031308
_SRGB_KNEE = 0.04045


def srgb_from_linear(linear: Tensor) -> Tensor:
    """Encode; differentiable everywhere, and straight on below the knee, negative values included."""
    curved = 1.055 * linear.clamp(min=_LINEAR_KNEE) ** (1 / 2.4) - 0.055
    return torch.where(linear <= _LINEAR_KNEE, linear * 12.92, curved)


def linear_from_srgb(srgb: Tensor) -> Tensor:
    """Decode; the inverse of ``srgb_from_linear``."""
    curved = ((srgb.clamp(min=_SRGB_KNEE) + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= _SRGB_KNEE, srgb / 12.92, curved)

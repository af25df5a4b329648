"""Offsets that keep an artist's locks, mask and bound, whatever is asked of them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .ties import Ties, smallest_of_group

_ROUNDING = 1e-6
"""Single precision may not carry a length past its bound."""


class TiedOffsets:
    """The map from any wish for offsets to what is allowed; the identity, but for the bound, where nothing is locked.

    Two spaces: locks and floors hold in object space, bounds are lengths in unit space.
    """

    def __init__(
        self,
        ties: Ties,
        share: NDArray[np.float32],
        unit_from_object: NDArray[np.floating],
        bound: float,
        device: torch.device,
    ) -> None:
        """``share`` [V] of the ``bound`` (unit space) that each vertex has; ``unit_from_object`` [3,3]."""
        self._group = torch.from_numpy(ties.group).to(device)
        self._sign = torch.from_numpy(ties.sign).to(device)
        self._free = torch.from_numpy(ties.free).to(device)
        self._lowest = torch.from_numpy(ties.lowest).to(device)
        self._highest = torch.from_numpy(ties.highest).to(device)
        self._patterns = torch.from_numpy(np.unique(ties.sign, axis=0)).to(device)
        count = len(ties.free)
        least: NDArray[np.float32] = np.zeros(count, np.float32)
        least[ties.group] = smallest_of_group(share, ties)
        self._bound = bound
        self._share = torch.from_numpy(least).to(device)[:, None]
        self._part = 1 / torch.bincount(self._group, minlength=count).clamp(min=1)[:, None]
        linear = np.asarray(unit_from_object, np.float64)
        self._unit_from_object = torch.from_numpy(linear.astype(np.float32)).to(device)
        self._object_from_unit = torch.from_numpy(np.linalg.inv(linear).astype(np.float32)).to(device)

    def in_object_space(self, wish: Tensor) -> Tensor:
        """Wished offsets [V,3] in unit space → allowed ones in object space, differentiable.

        Linear up to the floor and the bound: each group takes the mean of what its vertices wish.
        """
        here = self._sign * (wish @ self._object_from_unit.T)
        value = here.new_zeros(self._free.shape).index_add(0, self._group, here) * self._part
        value = self._above_floor(value * self._free)
        length = self._length(value).clamp(min=1e-12)
        # the length and not each coordinate is squashed, so directions, planes and mirror images stay
        value = value * (self._share * (1 - _ROUNDING) * self._bound * torch.tanh(length / self._bound) / length)
        return self._sign * value.index_select(0, self._group)

    def in_unit_space(self, offsets: Tensor) -> Tensor:
        """Object-space offsets [V,3] → unit space."""
        return offsets @ self._unit_from_object.T

    def _above_floor(self, value: Tensor) -> Tensor:
        height = torch.maximum(torch.minimum(value[:, 2], self._highest), self._lowest)
        return torch.cat([value[:, :2], height[:, None]], 1)

    def _length(self, value: Tensor) -> Tensor:
        """[G,1] in unit space: of the longest of a group's mirror images, which differ where the object is sheared."""
        images = [(value * pattern) @ self._unit_from_object.T for pattern in self._patterns]
        lengths = torch.stack([image.norm(dim=1, keepdim=True) for image in images])
        return lengths.amax(0)


def added(positions: NDArray[np.float32], offsets: NDArray[np.floating]) -> NDArray[np.float32]:
    """``positions`` [V,3] plus ``offsets`` [V,3]; those without an offset are the bits they were."""
    moves = (offsets != 0).any(axis=1)
    result = positions.copy()
    result[moves] = (positions[moves].astype(np.float64) + offsets[moves]).astype(np.float32)
    return result

"""The most bytes of tensors alive at once: on a GPU as the driver's allocator counts them, elsewhere counted one by one."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(run: Callable[[], object], held: Sequence[nn.Module], device: torch.device) -> int:
    """While ``run`` runs, the weights of ``held`` among them."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return int(torch.cuda.max_memory_allocated(device))
    counted = _Counted()
    with counted:
        run()
    return counted.most + sum(_storage_bytes(part) for part in held)


def _storage_bytes(part: nn.Module) -> int:
    return sum(one.untyped_storage().nbytes() for one in (*part.parameters(), *part.buffers()))


class _Counted(TorchDispatchMode):
    """Sees every operation's results, those of the gradient's too, and when the last tensor on a storage is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        given = {_place(one) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        for one in tree_leaves(result):
            if isinstance(one, Tensor) and _place(one) not in given:  # a view of what is there is not new
                self._add(one.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place in self._known:
            return
        self._known.add(place)
        self._now += size
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._gone, place, size)

    def _gone(self, place: int, size: int) -> None:
        self._known.discard(place)
        self._now -= size


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata

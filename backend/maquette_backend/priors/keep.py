"""Keeps the priors and ControlNets of the last job, for most jobs of a sitting use the same."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

import torch

from maquette_backend.priors.control import ControlNet
from maquette_backend.priors.prior import Prior

T = TypeVar("T")


class Last(Generic[T]):
    """Loads things by name. What the next job does not ask for is let go before anything else is loaded: a GPU may not
    hold both."""

    def __init__(self, load: Callable[[str], T], identity: Callable[[str], str] = lambda name: name) -> None:
        """``identity``: what a name stands for now; when it changes, the thing of that name is loaded anew."""
        self._load = load
        self._identity = identity
        self._kept: dict[str, T] = {}
        """By identity."""
        self._expected: frozenset[str] = frozenset()

    def __call__(self, name: str) -> T:
        """The thing of that name. Raises what loading raises; then it is not kept."""
        identity = self._identity(name)
        if identity in self._kept:
            return self._kept[identity]
        self._release_but(self._expected if name in self._expected else frozenset([name]))
        prior = self._load(name)
        self._kept[identity] = prior
        return prior

    def expect(self, names: Collection[str]) -> None:
        """The next job asks for these: they are held side by side, and whatever else is held is let go."""
        self._expected = frozenset(names)
        self._release_but(self._expected)

    def release(self) -> None:
        """Let everything go, and give their memory back to the GPU."""
        self._release_but(frozenset())

    def _release_but(self, names: frozenset[str]) -> None:
        wanted = {self._identity(name) for name in names} if self._kept else set[str]()
        gone = [identity for identity in self._kept if identity not in wanted]
        if not gone:
            return
        for identity in gone:
            del self._kept[identity]
        gc.collect()  # networks refer to themselves in circles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class LastPrior(Last[Prior]):
    """Priors."""


class LastControl(Last[ControlNet]):
    """ControlNets."""

"""Keeps the last prior loaded, for most jobs of a sitting use the same."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from maquette_backend.priors.prior import Prior


class LastPrior:
    """Loads priors by name. Before another is loaded the last one is let go: a GPU may not hold both."""

    def __init__(self, load: Callable[[str], Prior], identity: Callable[[str], str] = lambda name: name) -> None:
        """``identity``: what a name stands for now; when it changes, the prior of that name is loaded anew."""
        self._load = load
        self._identity = identity
        self._kept: tuple[str, Prior] | None = None

    def __call__(self, name: str) -> Prior:
        """The prior of that name. Raises what loading raises; then none is kept."""
        identity = self._identity(name)
        if self._kept is not None and self._kept[0] == identity:
            return self._kept[1]
        self.release()
        prior = self._load(name)
        self._kept = (identity, prior)
        return prior

    def release(self) -> None:
        """Let the last prior go, and give its memory back to the GPU."""
        if self._kept is None:
            return
        self._kept = None
        gc.collect()  # networks refer to themselves in circles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

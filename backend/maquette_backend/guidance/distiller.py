"""One interface for every way of turning a prior's score into a pull on images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maquette_backend.guidance.guided import Guided, Question

Arrays = dict[str, NDArray[np.generic]]


class Distiller(Protocol):
    """A way of distilling. Some learn while they are used; then they have state to keep with a checkpoint."""

    def guide(self, question: Question) -> Guided:
        """Where the images of one step should go. Nothing in it is on a tape."""
        ...

    def arrays(self) -> Arrays:
        """What it has learned, by name; empty where it learns nothing."""
        ...

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Put ``arrays()``' values back. Raises RuntimeError where they do not fit."""
        ...

    def close(self) -> None:
        """Take everything that it added to the prior's network away again. Harmless when repeated."""
        ...


class Stateless:
    """The rest of the interface, for ways that learn nothing."""

    def arrays(self) -> Arrays:
        return {}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        if arrays:
            raise RuntimeError(f"this way of distilling keeps no state, but was handed {sorted(arrays)[:3]}")

    def close(self) -> None:
        return

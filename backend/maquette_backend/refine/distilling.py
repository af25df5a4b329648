"""A way of distilling kept with a stage's checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from maquette_backend.guidance.distiller import Distiller
from maquette_backend.refine import adam_state
from maquette_backend.refine.adam_state import Arrays
from maquette_backend.refine.distil import Trained
from maquette_backend.refine.painting import Painter

_MARK = "guidance/"


def stage_arrays(state: Trained | Painter, distiller: Distiller) -> Arrays:
    """Everything that changes over a stage's steps: what is learned of the subject, and what guidance learns."""
    return adam_state.to_arrays(state) | {_MARK + name: array for name, array in distiller.arrays().items()}


def restore_stage(state: Trained | Painter, distiller: Distiller, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Put ``stage_arrays``' values back, in place. Raises RuntimeError where they do not fit."""
    adam_state.restore(state, arrays)
    distiller.restore({name.removeprefix(_MARK): array for name, array in arrays.items() if name.startswith(_MARK)})

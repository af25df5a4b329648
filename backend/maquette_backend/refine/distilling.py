"""One way of distilling at work in one stage of a job: made from the recipe, kept with the stage's checkpoints, and taken
out of the prior again however the stage ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from maquette_protocol.recipe import Guidance
from numpy.typing import NDArray

from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.from_recipe import Part, distiller_of
from maquette_backend.priors.prior import Prior
from maquette_backend.refine import adam_state
from maquette_backend.refine.adam_state import Arrays
from maquette_backend.refine.distil import Trained
from maquette_backend.refine.painting import Painter

_MARK = "guidance/"


@contextmanager
def distilling(guidance: Guidance, part: Part, prior: Prior, prompt: str) -> Iterator[Distiller]:
    """Within it the prior's network may hold what the way adds to it; after it, it is as it was."""
    distiller = distiller_of(guidance, part, prior, prompt)
    try:
        yield distiller
    finally:
        distiller.close()


def stage_arrays(state: Trained | Painter, distiller: Distiller) -> Arrays:
    """Everything that changes over a stage's steps: what is learned of the subject, and what guidance learns."""
    return adam_state.to_arrays(state) | {_MARK + name: array for name, array in distiller.arrays().items()}


def restore_stage(state: Trained | Painter, distiller: Distiller, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Put ``stage_arrays``' values back, in place. Raises RuntimeError where they do not fit."""
    adam_state.restore(state, arrays)
    distiller.restore({name.removeprefix(_MARK): array for name, array in arrays.items() if name.startswith(_MARK)})

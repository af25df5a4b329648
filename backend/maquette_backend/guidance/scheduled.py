"""A guidance scale that changes over the run, around any way of distilling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maquette_backend.guidance.distiller import Arrays, Distiller
from maquette_backend.guidance.guided import Guided, Question
from maquette_backend.guidance.schedule import ScaleSchedule


@dataclass(frozen=True)
class Scheduled:
    """``inner`` with its settings' scale replaced by the schedule's."""

    inner: Distiller
    scale: ScaleSchedule

    def guide(self, question: Question) -> Guided:
        """As ``inner`` guides, at the scale of the question's progress."""
        settings = replace(question.settings, scale=self.scale.at(question.progress))
        return self.inner.guide(replace(question, settings=settings))

    def arrays(self) -> Arrays:
        return self.inner.arrays()

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self.inner.restore(arrays)

    def close(self) -> None:
        self.inner.close()

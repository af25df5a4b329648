"""How far a job is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from maquette_protocol.messages import Stage

from maquette_backend.refine.events import JobEvents, Progress

SMOOTHING = 0.1
"""Share of the newest step's duration in the running mean that predicts the rest."""


@dataclass
class ProgressReporter:
    """Counts steps over all stages and subjects and predicts the end from the time that steps take."""

    events: JobEvents
    steps: int
    done: int = 0
    now: Callable[[], float] = time.monotonic
    _secs_per_step: float | None = None
    _last: float | None = field(default=None)

    def begin(self, stage: Stage, subject_id: str) -> None:
        """A stage starts: what came before says nothing about the duration of its steps."""
        self._last = self.now()
        self._report(stage, subject_id, 0.0)

    def advance(self, stage: Stage, subject_id: str, loss: float, count: int = 1) -> None:
        """``count`` steps are done."""
        now = self.now()
        took = (now - (self._last if self._last is not None else now)) / count
        previous = took if self._secs_per_step is None else self._secs_per_step
        self._secs_per_step = previous + SMOOTHING * (took - previous)
        self._last = now
        self.done += count
        self._report(stage, subject_id, loss)

    def _report(self, stage: Stage, subject_id: str, loss: float) -> None:
        eta = (self.steps - self.done) * (self._secs_per_step or 0.0)
        self.events.progress(Progress(stage, subject_id, self.done, self.steps, eta, loss))

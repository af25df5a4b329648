"""The steps of one stage: from its checkpoint on, heeding what is wished for, showing what there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from maquette_protocol.messages import Stage
from numpy.typing import NDArray

from maquette_backend.priors.notices import GivesWay
from maquette_backend.refine.events import JobEvents
from maquette_backend.refine.memory import Arrays, JobMemory
from maquette_backend.refine.progress import ProgressReporter


class Cancelled(Exception):
    """The job was asked to end; its checkpoint stays."""


@dataclass(frozen=True)
class Task:
    """A stage, as the loop needs to know it."""

    stage: Stage
    """As it is called to the outside."""
    name: str
    """Of its checkpoint; one for each stage of each subject."""
    subject_id: str
    """Whose progress is told."""
    steps: int
    step: Callable[[int], float]
    """Does the step of this number and returns its loss."""
    save: Callable[[], Mapping[str, NDArray[np.generic]]]
    restore: Callable[[Arrays], None]
    show: Callable[[int], None]
    """A preview, after the step of this number."""


@dataclass
class StageLoop:
    """Runs stages one after the other."""

    events: JobEvents
    reporter: ProgressReporter
    memory: JobMemory
    preview_every: int
    relief: GivesWay | None = None
    """What can do with less memory when a step runs out of it."""
    keeping: bool = False
    """Set once the artist asked to stop and keep: the steps that remain are skipped."""

    def run(self, task: Task) -> None:
        """Every step that is left of ``task``. Raises Cancelled when that is wished for."""
        first = self._resume(task)
        self.reporter.begin(task.stage, task.subject_id)
        for number in range(first, task.steps):
            if self._should_stop(task, number):
                self.reporter.done += task.steps - number
                return
            loss = self._done(task, number)
            self.reporter.advance(task.stage, task.subject_id, loss)
            if self.preview_every and number % self.preview_every == 0 and self.events.preview_wanted():
                task.show(number)

    def _done(self, task: Task, number: int) -> float:
        """The step's loss. Where memory runs out in it, wherever that is, it is done again with less as long as there is a
        way: up to its optimiser's turn a step leaves nothing behind but what adapters have learned in it."""
        while True:
            try:
                return task.step(number)
            except torch.OutOfMemoryError:
                if self.relief is None or not self.relief.can_give_way:
                    raise
            self.relief.give_way()  # not in the handler: what was computed is alive there

    def skip(self, steps: int) -> None:
        """A stage that a checkpoint has behind it."""
        self.reporter.done += steps

    def _resume(self, task: Task) -> int:
        stored = self.memory.stage(task.name)
        if stored is None:
            return 0
        task.restore(stored[1])
        self.reporter.done += stored[0]
        return stored[0]

    def _should_stop(self, task: Task, number: int) -> bool:
        wish = self.events.wish()
        if wish == "cancel" or self.memory.due():
            self.memory.keep_stage(task.name, number, task.save())
        if wish == "cancel":
            raise Cancelled
        self.keeping = self.keeping or wish == "stop_and_keep"
        return self.keeping

"""What a training run leaves while it goes on: log lines, TensorBoard curves, checkpoints and sample sheets."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from tensorboardX import SummaryWriter

from maquette_backend.priors.starter.familiarity import save_known
from maquette_backend.priors.starter.folder import save_folder
from maquette_backend.priors.starter.training.checkpoint import Run, save_checkpoint
from maquette_backend.priors.starter.training.sampling import sample_sheet

CHECKPOINT_FILE = "checkpoint.safetensors"
FOLDER = "folder"
SAMPLES_FILE = "samples.png"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Intervals:
    log_steps: int = 100
    checkpoint_secs: float = 120.0
    samples_secs: float = 1800.0


@dataclass
class Reporter:
    """Called after every step with the run and its loss; ``finish`` writes everything once more."""

    folder: Path
    about: str
    text_from: Path
    """Where the pipeline's text encoder and tokenizer come from."""
    known: tuple[str, ...] = ()
    """What the run is shown, for the folder's list of what the prior knows."""
    intervals: Intervals = field(default_factory=Intervals)
    _losses: list[float] = field(default_factory=list)
    _saved_at_secs: float = 0.0
    _sampled_at_secs: float = 0.0
    _curves: SummaryWriter | None = None

    def start(self, run: Run) -> None:
        """Count from where ``run`` stands, and open the curves."""
        self._saved_at_secs = self._sampled_at_secs = run.counters.elapsed_secs
        self._curves = SummaryWriter(str(self.folder / "tensorboard"), purge_step=run.counters.step)

    def __call__(self, run: Run, loss: float) -> None:
        self._losses.append(loss)
        counters = run.counters
        if counters.step % self.intervals.log_steps == 0:
            self._log(run)
        if counters.elapsed_secs - self._saved_at_secs > self.intervals.checkpoint_secs:
            self._saved_at_secs = counters.elapsed_secs
            save_checkpoint(self.folder / CHECKPOINT_FILE, run, self.about)
        if counters.elapsed_secs - self._sampled_at_secs > self.intervals.samples_secs:
            self._sampled_at_secs = counters.elapsed_secs
            self.write_folder(run)

    def finish(self, run: Run) -> None:
        """The last checkpoint, the prior's folder, and samples from it."""
        save_checkpoint(self.folder / CHECKPOINT_FILE, run, self.about)
        self.write_folder(run)
        if self._curves is not None:
            self._curves.close()
        _log.info("%s, done: the prior's folder and samples in %s", run.counters, self.folder)

    def write_folder(self, run: Run) -> None:
        """The averaged weights as a pipeline's folder, and a sheet of samples from it."""
        save_folder(self.folder / FOLDER, run.average, self.text_from)
        save_known(self.folder / FOLDER, self.known)
        sample_sheet(self.folder / FOLDER, self.folder / SAMPLES_FILE)

    def _log(self, run: Run) -> None:
        counters, mean = run.counters, sum(self._losses) / len(self._losses)
        self._losses.clear()
        rate = counters.images / counters.elapsed_secs
        _log.info("step %d, %d images, %.1f/s, loss %.4f", counters.step, counters.images, rate, mean)
        if self._curves is not None:
            self._curves.add_scalar("loss", mean, counters.step)
            self._curves.add_scalar("images_per_second", rate, counters.step)
            self._curves.add_scalar("learning_rate", run.optimizer.param_groups[0]["lr"], counters.step)

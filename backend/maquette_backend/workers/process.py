"""What the worker process does: one thread reads orders, one writes reports and beats, the main thread works."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Collection, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from maquette_protocol.arrays import Array
from maquette_protocol.messages import JobProgress, Preview

from ..server.blob_store import BlobStore
from ..server.home import open_home
from .channel import read_message, write_message
from .executor import (
    Beat,
    Ended,
    Noticed,
    Previewed,
    Progressed,
    PromptsRead,
    Ready,
    RunJob,
    SetWish,
    Shutdown,
    WantPreviews,
)
from .runner import ChannelEvents, JobFunction, run_job

if TYPE_CHECKING:
    from ..priors.control import ControlNet
    from ..priors.keep import LastControl, LastPrior
    from ..priors.prior import Prior

BEAT_SECS = 1.0
REPORT_INTERVAL_SECS = 0.05
"""Lossy reports go out at most this often."""
_LOG = logging.getLogger(__name__)


class PipeOutlet:
    """An ``Outlet``: a thread writes, so that a job never waits for the gateway. Lossy reports have one slot each."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._changed = threading.Condition()
        self._firm: list[Ready | PromptsRead | Noticed | Ended] = []
        self._progress: Progressed | None = None
        self._preview: tuple[Previewed, Mapping[str, Array]] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._write, name="reports", daemon=True)
        self._thread.start()

    def firm(self, report: Ready | Ended) -> None:
        """A report that is never dropped. It ends the lossy ones before it."""
        with self._changed:
            self._progress, self._preview = None, None
            self._firm.append(report)
            self._changed.notify()

    def told(self, report: PromptsRead | Noticed) -> None:
        """Never dropped either; the lossy reports go on."""
        with self._changed:
            self._firm.append(report)
            self._changed.notify()

    def progress(self, token: int, progress: JobProgress) -> None:
        with self._changed:
            self._progress = Progressed(token, progress)

    def preview(self, token: int, preview: Preview, arrays: Mapping[str, Array]) -> None:
        with self._changed:
            self._preview = (Previewed(token, preview), arrays)

    def preview_pending(self) -> bool:
        return self._preview is not None

    def close(self) -> None:
        """Send what is firm, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(5.0)

    def _write(self) -> None:
        idle_secs = 0.0
        while True:
            with self._changed:
                if not self._firm and not self._closing:
                    self._changed.wait(REPORT_INTERVAL_SECS)
                firm, self._firm = self._firm, []
                progress, self._progress = self._progress, None
                preview, self._preview = self._preview, None
                closing = self._closing
            for report in firm:
                write_message(self._pipe, report)
            if progress is not None:
                write_message(self._pipe, progress)
            if preview is not None:
                write_message(self._pipe, *preview)
            idle_secs = 0.0 if firm or progress or preview else idle_secs + REPORT_INTERVAL_SECS
            if idle_secs >= BEAT_SECS:
                write_message(self._pipe, Beat())
                idle_secs = 0.0
            if closing:
                return


class OrderReader:
    """Reads orders on its own thread: a wish is known at once, however busy the job is."""

    def __init__(self, pipe: BinaryIO, store: BlobStore, outlet: PipeOutlet) -> None:
        self.jobs: queue.SimpleQueue[tuple[RunJob, ChannelEvents] | None] = queue.SimpleQueue()
        self._pipe = pipe
        self._store = store
        self._outlet = outlet
        self._current: ChannelEvents | None = None
        self._leaving = False
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def _read(self) -> None:
        while (received := read_message(self._pipe)) is not None:
            self._obey(received[0])
        if not self._leaving:
            # The gateway is gone and another may already run this job: leave at once, the checkpoint is whole.
            os._exit(1)

    def _obey(self, order: object) -> None:
        current = self._current
        match order:
            case RunJob():
                self._current = ChannelEvents(order, self._store, self._outlet)
                self.jobs.put((order, self._current))
            case SetWish(token, wish) if current is not None and current.token == token:
                current.set_wish(wish)
            case WantPreviews(token, wanted) if current is not None and current.token == token:
                current.previews_wanted = wanted
            case Shutdown():
                self._leaving = True
                if current is not None:
                    current.leave()
                self.jobs.put(None)
            case _:
                _LOG.info("an order came too late: %s", type(order).__name__)


def main(orders: int, reports: int) -> None:
    """Work until told to shut down. ``orders`` and ``reports`` are the pipes' descriptors."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s worker %(levelname)s %(message)s")
    # Ctrl-C reaches the whole group; the gateway decides what a worker does then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    home = open_home(arguments.home)
    store = BlobStore(home.blobs)
    outlet = PipeOutlet(os.fdopen(reports, "wb"))
    reader = OrderReader(os.fdopen(orders, "rb"), store, outlet)
    job = load_entry(arguments.entry)
    outlet.firm(Ready(device_name()))
    warm_up()
    priors = PriorLoader(home.models)
    while (taken := reader.jobs.get()) is not None:
        order, events = taken
        outlet.firm(run_job(order, job, events, store, home.jobs, priors))
    outlet.close()


def load_entry(entry: str) -> JobFunction:
    """The function named ``module:function``."""
    module, _, name = entry.partition(":")
    return cast(JobFunction, getattr(importlib.import_module(module), name))


def device_name() -> str:
    """What computes, for people. A job function that did not import torch computes on the processor."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return f"CPU, {os.cpu_count()} cores"


def warm_up() -> None:
    """Import what loads priors before a job asks: diffusers alone takes seconds. Only for jobs that use torch."""
    if "torch" in sys.modules:
        from ..priors.cores import share_cores

        share_cores()
        importlib.import_module("..priors.load", __package__)


class PriorLoader:
    """Loads priors and ControlNets by name, registered ones from the home's folder ``models``, and keeps the last job's.

    torch comes with the first prior: a job function that asks for none does without.
    """

    def __init__(self, models: Path) -> None:
        self._models = models
        self._controls: tuple[str, ...] = ()
        """That the next job asks for: a GPU is left room for them."""

    def __call__(self, name: str) -> Prior:
        """The prior of that name. Raises what loading raises."""
        return self._kept(name)

    def control(self, name: str) -> ControlNet:
        """The ControlNet of that name. Raises what loading raises."""
        return self._kept_controls(name)

    def expect(self, names: Collection[str], controls: Collection[str] = ()) -> None:
        """The next job asks for these priors and ControlNets, and for no others."""
        self._controls = tuple(sorted(controls))
        self._kept_controls.expect(controls)
        self._kept.expect(names)

    @cached_property
    def _kept(self) -> LastPrior:
        from ..priors.keep import LastPrior
        from ..priors.load import load_prior

        return LastPrior(
            lambda name: load_prior(name, self._device, self._models, self._controls), self._identity
        )

    def _identity(self, name: str) -> str:
        """On a GPU a prior is laid out for the ControlNets beside it, so that with others it is loaded anew."""
        from ..priors.catalogue import control_identity, prior_identity

        own = prior_identity(self._models, name)
        beside = self._controls if self._device != "cpu" else ()
        return " ".join([own, *(control_identity(self._models, one) for one in beside)])

    @cached_property
    def _kept_controls(self) -> LastControl:
        from ..priors.catalogue import control_identity
        from ..priors.keep import LastControl
        from ..priors.load import load_control

        load = partial(load_control, device=self._device, models=self._models)
        return LastControl(load, partial(control_identity, self._models))

    @cached_property
    def _device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="maquette_backend.workers.main")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--entry", required=True, help="module:function that does a job")
    return parser.parse_args()

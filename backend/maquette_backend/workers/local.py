"""One supervised worker process on this machine, started again whenever it dies.

Threads read and write its pipes, so the gateway's loop never waits for it. A dead worker is noticed at once (its
pipe ends); a frozen one when it neither speaks nor uses the processor.
"""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast, get_args

from maquette_protocol.errors import ProtocolError

from .channel import read_message, write_message
from .executor import Beat, Ended, Heard, Lost, Order, Ready, Report, RunJob, Shutdown

FROZEN_SECS = 5.0
"""Of neither a beat nor processor time. With one look a second it keeps the promise of 8 s."""
SILENT_SECS = 300.0
"""Of no beat, though the processor is busy: native code that holds Python's lock may take long, but not for ever."""
FIRST_PAUSE_SECS, LONGEST_PAUSE_SECS = 0.2, 30.0
"""Before a new worker starts; doubles while workers die without having become ready."""
DEFAULT_ENTRY = "maquette_backend.refine.job:refine_job"
_LOG = logging.getLogger(__name__)


class LocalExecutor:
    """An ``Executor`` with one worker process. ``entry`` names the function that does a job, as ``module:function``;
    only who starts the backend can choose it."""

    def __init__(self, home: Path, wake: Callable[[], None], entry: str = DEFAULT_ENTRY) -> None:
        self._home = home
        self._wake = wake
        self._entry = entry
        self._inbox: deque[Heard | Lost] = deque()
        self._worker: _Worker | None = None
        self._count = 0
        self._pause_secs = FIRST_PAUSE_SECS
        self._start_at_secs = 0.0
        self._device = ""

    @property
    def device(self) -> str:
        return self._device or f"CPU, {os.cpu_count()} cores"

    def start(self) -> None:
        self._count += 1
        command = [sys.executable, "-m", "maquette_backend.workers.main", "--home", str(self._home)]
        self._worker = _Worker(f"local-{self._count}", [*command, "--entry", self._entry], self._receive)

    def free_worker(self) -> str | None:
        worker = self._worker
        return worker.name if worker is not None and worker.ready and worker.job_id is None else None

    def send(self, worker: str, order: Order) -> None:
        if self._worker is None or self._worker.name != worker:
            return
        if isinstance(order, RunJob):
            self._worker.job_id = order.job_id
        self._worker.send(order)

    def give_up(self, worker: str) -> None:
        if self._worker is not None and self._worker.name == worker:
            self._worker.kill()

    def take(self) -> list[Heard | Lost]:
        taken: list[Heard | Lost] = []
        while self._inbox:
            item = self._inbox.popleft()
            self._note(item)
            taken.append(item)
        return taken

    def tick(self, now_secs: float) -> None:
        if self._worker is None and now_secs >= self._start_at_secs:
            self.start()
        elif self._worker is not None and self._worker.frozen(now_secs):
            _LOG.warning("worker %s is frozen; killing it", self._worker.name)
            self._worker.kill()

    def stop(self, grace_secs: float) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.send(Shutdown())
            worker.wait(grace_secs)

    def _receive(self, item: Heard | Lost) -> None:
        """Called by the reader thread."""
        self._inbox.append(item)
        self._wake()

    def _note(self, item: Heard | Lost) -> None:
        worker = self._worker
        if worker is None or worker.name != item.worker:
            return
        if isinstance(item, Lost):
            _LOG.warning("worker %s is lost: %s", item.worker, item.reason)
            worker.wait(0.0)
            self._worker = None
            self._pause_secs = FIRST_PAUSE_SECS if worker.ready else min(2 * self._pause_secs, LONGEST_PAUSE_SECS)
            self._start_at_secs = time.monotonic() + self._pause_secs
        elif isinstance(item.report, Ready):
            worker.ready, self._device = True, item.report.device
        elif isinstance(item.report, Ended):
            worker.job_id = None


class _Worker:
    """One process and the two threads at its pipes."""

    def __init__(self, name: str, command: list[str], receive: Callable[[Heard | Lost], None]) -> None:
        self.name = name
        self.ready = False
        self.job_id: str | None = None
        self._receive = receive
        self._heard_secs = self._alive_secs = time.monotonic()
        self._cpu_secs = -1.0
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name=f"{name}-read", daemon=True).start()
        threading.Thread(target=self._write, name=f"{name}-write", daemon=True).start()

    def send(self, order: Order) -> None:
        self._orders.put(order)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, grace_secs: float) -> None:
        """Wait for its end, kill it when that takes longer, and close what belongs to it."""
        try:
            self._process.wait(grace_secs)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._orders.put(None)

    def frozen(self, now_secs: float) -> bool:
        """Whether it neither spoke nor used the processor for too long."""
        cpu_secs = process_cpu_secs(self._process.pid)
        self._alive_secs = max(self._alive_secs, self._heard_secs)
        if cpu_secs is not None and cpu_secs > self._cpu_secs + 0.1:
            self._cpu_secs, self._alive_secs = cpu_secs, now_secs
        silent = now_secs - self._heard_secs
        return silent > SILENT_SECS or (cpu_secs is not None and now_secs - self._alive_secs > FROZEN_SECS)

    def _read(self) -> None:
        pipe = cast(BinaryIO, self._process.stdout)
        reason = "its process ended"
        try:
            while (received := read_message(pipe)) is not None:
                self._heard_secs = time.monotonic()
                message, arrays = received
                if not isinstance(message, get_args(Report)):
                    raise ProtocolError(f"{type(message).__name__} is no report.")
                if not isinstance(message, Beat):
                    self._receive(Heard(self.name, cast(Report, message), arrays))
        except (ProtocolError, OSError) as error:
            reason = str(error)
            self._process.kill()
        pipe.close()
        self._receive(Lost(self.name, reason))

    def _write(self) -> None:
        pipe = cast(BinaryIO, self._process.stdin)
        try:
            while (order := self._orders.get()) is not None:
                write_message(pipe, order)
            pipe.close()
        except OSError:
            # The worker is gone; the reader says so. Only the pipe is left to be closed.
            self._process.stdin = None


def process_cpu_secs(pid: int) -> float | None:
    """Processor time that a process used so far; None where the system does not tell (then beats alone count)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

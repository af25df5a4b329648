"""The thread that owns the socket. It knows no bpy: commands come in by one queue, events leave by another."""

from __future__ import annotations

import ipaddress
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from . import refined
from ._protocol import auth, codec, errors, events, messages, session
from .traffic import (
    Changed,
    Command,
    Delivered,
    EndJob,
    Event,
    Failed,
    FollowJob,
    Offline,
    Online,
    Previewed,
    PreviewShown,
    Progressed,
    Reconnect,
    Rest,
    StartJob,
    Uploading,
)
from .wire import POLL_MILLIS, Wire

CLIENT = "maquette-blender 0.1.0"
FILE_RETRY_SECS = 0.5
REST_SECS = 2.0
"""To wait for the thread at most; it looks at its commands every ``POLL_MILLIS``."""
_RETRYABLE = (errors.ErrorCode.UNREACHABLE, errors.ErrorCode.TIMED_OUT)


class Connection:
    """A talk with one backend, on a thread of its own."""

    def __init__(self, file: Path, *, remote_allowed: bool) -> None:
        """``file``: the connection file, read anew for each socket. ``remote_allowed``: beyond loopback."""
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._worker = _Worker(file, remote_allowed, self._commands, self._events.put)
        self._thread = self._started(None)
        _open.append(self)

    def _started(self, after: threading.Thread | None) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(after,), name="maquette-connection", daemon=True)
        thread.start()
        return thread

    def _run(self, after: threading.Thread | None) -> None:
        if after is not None:
            after.join()
        self._worker.run()

    def send(self, command: Command) -> None:
        """Ask something of the thread; returns at once."""
        self._commands.put(command)

    def take(self) -> Event | None:
        """The next event, or none now."""
        try:
            return self._events.get_nowait()
        except queue.Empty:
            return None

    def stop(self) -> None:
        """End the thread and close its sockets; jobs run on. Harmless when repeated."""
        if self in _open:
            _open.remove(self)
        self._commands.put(None)
        self._thread.join(REST_SECS)

    def rest(self) -> None:
        """End the thread, so that none of its Python runs; the sockets stay open."""
        self._commands.put(Rest())
        self._thread.join(REST_SECS)

    def wake(self) -> None:
        """Go on after ``rest``, on a new thread."""
        self._thread = self._started(self._thread)


_open: list[Connection] = []
"""Those that were not stopped: one while the extension is enabled."""


@contextmanager
def at_rest() -> Iterator[None]:
    """No connection's thread runs Python in here. For what Blender does badly beside threads; see ``overriding``."""
    resting = list(_open)
    for one in resting:
        one.rest()
    try:
        yield
    finally:
        for one in resting:
            one.wake()  # one that was stopped meanwhile closes its sockets


class _Worker:
    """The thread's own state."""

    def __init__(
        self,
        file: Path,
        remote_allowed: bool,
        commands: queue.SimpleQueue[Command | None],
        emit: Callable[[Event], None],
    ) -> None:
        self._file = file
        self._remote_allowed = remote_allowed
        self._commands = commands
        self._emit = emit
        self._session = session.ClientSession(time.monotonic, CLIENT)
        self._wire: Wire | None = None
        self._file_retry_at = 0.0
        self._submits: dict[str, _Submit] = {}
        self._fetches: dict[str, _Fetch] = {}
        self._context: zmq.Context | None = None
        self._rests = False

    # ---- the loop -----------------------------------------------------------------------------------
    def run(self) -> None:
        """Until told to stop, or to rest."""
        self._rests = False
        self._context = self._context or zmq.Context()
        try:
            while self._take_commands():
                self._open_if_wanted(self._context)
                self._send_all()
                self._handle(self._receive())
                self._handle(self._session.tick())
        finally:
            if not self._rests:
                self._close()
                self._context.destroy(linger=0)
                self._context = None

    def _take_commands(self) -> bool:
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return True
            self._rests = isinstance(command, Rest)
            if command is None or self._rests:
                return False
            try:
                self._obey(command)
            except errors.MaquetteError as error:
                self._emit(Failed(getattr(command, "job_id", ""), error))

    def _obey(self, command: Command) -> None:
        match command:
            case StartJob():
                self._submits[command.job_id] = _Submit(command)
                for sha256, data in command.blobs.items():
                    self._session.upload(data, sha256)
            case FollowJob():
                self._session.attach(command.job_id)
            case EndJob():
                self._end(command)
            case PreviewShown():
                self._session.preview_taken(command.job_id)
            case Reconnect():
                self._file_retry_at = 0.0
                self._session.reconnect()

    def _end(self, command: EndJob) -> None:
        """Cancel; a job that was not submitted yet just ends here."""
        submit = self._submits.pop(command.job_id, None)
        if submit is None:
            self._session.cancel(command.job_id, keep=command.keep)
            return
        for sha256 in submit.left:
            self._session.stop_transfer(sha256)
        self._emit(Changed(messages.JobStatus(command.job_id, "cancelled")))

    # ---- the socket ---------------------------------------------------------------------------------
    def _open_if_wanted(self, context: zmq.Context) -> None:
        if not self._session.wants_new_socket or time.monotonic() < self._file_retry_at:
            return
        self._close()
        try:
            target = auth.read_connection(self._file)
            self._check_reach(target.endpoint)
        except errors.MaquetteError as error:
            self._file_retry_at = time.monotonic() + FILE_RETRY_SECS
            self._emit(Offline(error))
            return
        self._wire = Wire(context, target)
        self._session.socket_opened()

    def _check_reach(self, endpoint: str) -> None:
        host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
        if self._remote_allowed or host == "localhost" or _is_loopback(host):
            return
        raise errors.MaquetteError(
            errors.ErrorCode.UNREACHABLE,
            f"The backend is at {host}, and Blender's online access is off.",
            "Turn on Allow Online Access (Preferences > System), or use a backend on this machine.",
        )

    def _close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _send_all(self) -> None:
        for envelope in self._session.take_outgoing():
            if self._wire is None or not self._wire.send(codec.encode(envelope)):
                unsent = errors.MaquetteError(errors.ErrorCode.UNREACHABLE, "The backend takes no messages.")
                self._handle(self._session.lose(unsent))
                return

    def _receive(self) -> list[session.ClientEvent]:
        if self._wire is None:
            time.sleep(POLL_MILLIS / 1000)
            return []
        found: list[session.ClientEvent] = []
        for frames in self._wire.poll():
            found.extend(self._session.receive(frames))
        refusal = self._wire.refusal()
        if refusal is not None and self._session.state == "connecting":
            found.extend(self._session.lose(refusal))
        return found

    # ---- what the session says ----------------------------------------------------------------------
    def _handle(self, told: Iterable[session.ClientEvent]) -> None:
        for event in told:
            self._handle_one(event)

    def _handle_one(self, event: session.ClientEvent) -> None:
        match event:
            case session.Connected():
                self._emit(Online(event.welcome))
            case session.Lost():
                self._emit(Offline(event.error))
            case session.Refused():
                self._emit(Offline(event.error, final=True))
            case session.JobChanged():
                self._changed(event)
            case session.JobProgressed():
                self._emit(Progressed(event.progress))
            case session.PreviewArrived():
                self._previewed(event)
            case session.RequestFailed():
                self._request_failed(event)
            case session.Uploaded() | session.TransferMoved() | session.TransferFailed() | session.Downloaded():
                self._transferred(event)
            case session.Answered() | session.Protested():
                pass  # an answer is also told as JobChanged; a protest concerns one message, which has a timeout

    def _previewed(self, event: session.PreviewArrived) -> None:
        try:
            frame = refined.frame_from(event.preview, event.arrays)
        except errors.ProtocolError:
            self._session.preview_taken(event.preview.job_id)  # lossy: the next one may be whole
            return
        self._emit(Previewed(frame))

    def _changed(self, event: session.JobChanged) -> None:
        status = event.status
        self._emit(Changed(status))
        if status.state in ("finished", "cancelled") and status.results and status.job_id not in self._fetches:
            sizes = refined.refs_of(status)
            self._fetches[status.job_id] = _Fetch(event, sizes)
            for sha256, size in sizes.items():
                self._session.download(sha256, size)
            self._deliver_if_whole(status.job_id)

    def _request_failed(self, event: session.RequestFailed) -> None:
        job_id = getattr(event.request, "job_id", "")
        self._emit(Failed(job_id, event.error, unknown=event.error.code in _RETRYABLE))

    def _transferred(self, event: events.TransferEvent) -> None:
        for job_id, submit in list(self._submits.items()):
            if event.sha256 in submit.command.blobs:
                self._upload_moved(job_id, submit, event)
        for job_id, fetch in list(self._fetches.items()):
            if event.sha256 not in fetch.sizes:
                continue
            if isinstance(event, session.Downloaded):
                fetch.blobs[event.sha256] = event.data
                self._deliver_if_whole(job_id)
            elif isinstance(event, session.TransferFailed):
                del self._fetches[job_id]
                self._emit(Failed(job_id, event.error, unknown=True))

    def _upload_moved(self, job_id: str, submit: _Submit, event: events.TransferEvent) -> None:
        match event:
            case session.TransferFailed():
                del self._submits[job_id]
                self._emit(Failed(job_id, event.error))
            case session.TransferMoved():
                submit.done[event.sha256] = event.done
                self._emit(Uploading(job_id, sum(submit.done.values()), submit.size))
            case session.Uploaded():
                submit.left.discard(event.sha256)
                if not submit.left:
                    del self._submits[job_id]
                    self._submit(submit.command)

    def _submit(self, command: StartJob) -> None:
        try:
            self._session.submit(command.job_id, command.recipe)
        except errors.MaquetteError as error:
            self._emit(Failed(command.job_id, error))

    def _deliver_if_whole(self, job_id: str) -> None:
        fetch = self._fetches[job_id]
        if len(fetch.blobs) < len(fetch.sizes):
            return
        del self._fetches[job_id]
        try:
            subjects = tuple(refined.refined_from(one, fetch.blobs) for one in fetch.event.status.results)
        except errors.ProtocolError as error:
            self._emit(Failed(job_id, error))
            return
        self._emit(Delivered(job_id, subjects))


class _Submit:
    """A job whose arrays are on their way up."""

    def __init__(self, command: StartJob) -> None:
        self.command = command
        self.left = set(command.blobs)
        self.size = sum(len(memoryview(data).cast("B")) for data in command.blobs.values())
        self.done: dict[str, int] = {}


class _Fetch:
    """A job whose results are on their way down."""

    def __init__(self, event: session.JobChanged, sizes: dict[str, int]) -> None:
        self.event = event
        self.sizes = sizes
        self.blobs: dict[str, bytearray] = {}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

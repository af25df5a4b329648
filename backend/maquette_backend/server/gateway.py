"""The gateway's loop: one ROUTER socket with CURVE, one session for each connection. Never imports torch.

Nothing in the loop blocks: disk-heavy work is on a thread, workers are behind pipes with threads of their own, and
a client that does not read only fills its own queue.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import zmq
from maquette_protocol import limits
from maquette_protocol.arrays import Array
from maquette_protocol.auth import ZAP_DOMAIN
from maquette_protocol.codec import Envelope, encode
from maquette_protocol.events import Asked, Broke, Greeted
from maquette_protocol.messages import JobProgress, JobStatus, Preview, Welcome
from maquette_protocol.session import PeerSession

from .client import Client
from .desk import Desk
from .job_keeper import JobKeeper
from .keys import ClientKeys, KeyPair
from .zap import ZapHandler

MAX_CONNECTIONS = 256
MAX_MESSAGES_A_TURN = 32
"""Then answers go out and workers are heard, however much comes in."""
TICK_SECS = 0.5
SEND_QUEUE = 64
"""Messages that wait in the socket for one client that reads slowly."""
STOP_GRACE_SECS = 10.0
_LOG = logging.getLogger(__name__)


class Wake:
    """Wakes the loop from another thread or a signal handler, with something to call there or without."""

    def __init__(self) -> None:
        self.reader, self.writer = socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)
        self._calls: deque[Callable[[], None]] = deque()

    def __call__(self) -> None:
        try:
            self.writer.send(b"\0")
        except BlockingIOError:
            return  # the pipe is full of wake-ups already

    def call_soon(self, call: Callable[[], None]) -> None:
        self._calls.append(call)
        self()

    def drain(self) -> None:
        """Empty the pipe, then run what was asked for."""
        try:
            while self.reader.recv(4096):
                pass
        except BlockingIOError:
            pass
        while self._calls:
            self._calls.popleft()()

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


class Peers:
    """The connections, by routing id, and an ``Audience`` for the jobs' news."""

    def __init__(self, welcome: Callable[[], Welcome]) -> None:
        self._welcome = welcome
        self.clients: dict[bytes, Client] = {}

    def find(self, routing_id: bytes, owner: str) -> Client:
        """The connection's session. A routing id is the client's choice, so another key under it is another client."""
        held = self.clients.get(routing_id)
        if held is None or held.owner != owner:
            held = Client(owner, PeerSession(time.monotonic, self._welcome))
            self.clients[routing_id] = held
        return held

    def drop_lost(self) -> None:
        for routing_id in [key for key, client in self.clients.items() if client.session.lost]:
            del self.clients[routing_id]

    def status(self, owner: str, status: JobStatus) -> None:
        for client in self._of(owner):
            client.session.status(status)

    def progress(self, owner: str, progress: JobProgress) -> None:
        for client in self._of(owner):
            client.session.progress(progress)

    def preview(self, owner: str, preview: Preview, arrays: Mapping[str, Array]) -> None:
        for client in self._of(owner):
            client.session.preview(preview, arrays)

    def wants_preview(self, owner: str, job_id: str) -> bool:
        return any(client.session.wants_preview(job_id) for client in self._of(owner))

    def _of(self, owner: str) -> list[Client]:
        return [client for client in self.clients.values() if client.owner == owner]


@dataclass(frozen=True)
class Parts:
    """What the loop drives."""

    keys: KeyPair
    clients: ClientKeys
    peers: Peers
    jobs: JobKeeper
    desk: Desk
    wake: Wake


class Gateway:
    """Bind with ``bind``, then ``run`` until ``stop``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stopping = threading.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._zap = ZapHandler(self._context, parts.clients.admits)
        self._router = self._context.socket(zmq.ROUTER)
        self._congested = False
        _secure(self._router, parts.keys)

    def bind(self, endpoint: str) -> str:
        """Bind, port 0 for any free one; returns the real endpoint."""
        self._router.bind(endpoint)
        return self._router.getsockopt_string(zmq.LAST_ENDPOINT)

    def stop(self) -> None:
        """End ``run``. May be called from a signal handler or another thread."""
        self._stopping.set()
        self._parts.wake()

    def run(self) -> None:
        """Serve until stopped, then shelve the running jobs and close everything."""
        parts = self._parts
        parts.jobs.recover(time.time())
        poller = zmq.Poller()
        for source in (self._router, self._zap.socket, parts.wake.reader):
            poller.register(source, zmq.POLLIN)
        next_tick_secs = 0.0
        while not self._stopping.is_set():
            wait_secs = 0.01 if self._congested else max(0.0, next_tick_secs - time.monotonic())
            poller.poll(math.ceil(wait_secs * 1000))
            self._turn()
            if time.monotonic() >= next_tick_secs:
                next_tick_secs = time.monotonic() + TICK_SECS
                parts.peers.drop_lost()
                parts.jobs.tick(time.monotonic(), time.time())
                self._flush()
        self._close()

    def _turn(self) -> None:
        """One round: strangers, clients, workers, answers."""
        parts = self._parts
        self._zap.answer()
        parts.wake.drain()
        for _ in range(MAX_MESSAGES_A_TURN):
            if not self._receive():
                break
        parts.jobs.hear(time.monotonic(), time.time())
        parts.jobs.assign(time.monotonic())
        parts.jobs.ask_for_previews()
        self._flush()

    def _receive(self) -> bool:
        """Take one message in; False when none waits."""
        try:
            routing, *frames = self._router.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return False
        if not frames:
            return True
        owner = str(frames[-1].get("User-Id"))
        known = routing.bytes in self._parts.peers.clients
        if not self._parts.clients.admits(owner) or not (known or len(self._parts.peers.clients) < MAX_CONNECTIONS):
            return True  # revoked while connected, or too many: no answer, as for a stranger
        client = self._parts.peers.find(routing.bytes, owner)
        # One more than allowed is enough for the codec to refuse it.
        for event in client.session.receive([frame.buffer for frame in frames[: limits.MAX_FRAMES + 1]]):
            match event:
                case Asked():
                    self._parts.desk.handle(client, event)
                case Greeted(hello):
                    _LOG.info("%r connected with key %s…", hello.client[:80], owner[:8])
                case Broke(error):
                    _LOG.warning("key %s… broke the protocol: %s", owner[:8], error)
        return True

    def _flush(self) -> None:
        self._congested = False
        for routing_id, client in list(self._parts.peers.clients.items()):
            envelopes = client.session.take_outgoing()
            for place, envelope in enumerate(envelopes):
                try:
                    self._send(routing_id, envelope)
                except zmq.Again:
                    client.session.give_back(envelopes[place:])
                    self._congested = True
                    break
                except zmq.ZMQError as error:
                    if error.errno != zmq.EHOSTUNREACH:
                        raise
                    del self._parts.peers.clients[routing_id]  # it has gone
                    break

    def _send(self, routing_id: bytes, envelope: Envelope) -> None:
        self._router.send_multipart([routing_id, *encode(envelope)], zmq.DONTWAIT, copy=False)

    def _close(self) -> None:
        parts = self._parts
        parts.jobs.shelve(STOP_GRACE_SECS, time.monotonic(), time.time())
        parts.desk.close()
        self._flush()
        self._router.close()
        self._zap.close()
        self._context.term()
        parts.wake.close()


def _secure(router: zmq.Socket[bytes], keys: KeyPair) -> None:
    """Options that must be set before the socket is bound."""
    router.linger = 0
    router.curve_server = True
    router.curve_secretkey = keys.secret.encode()
    router.curve_publickey = keys.public.encode()
    router.zap_domain = ZAP_DOMAIN.encode()
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.MAXMSGSIZE, limits.MAX_SOCKET_MESSAGE_BYTES)
    router.setsockopt(zmq.SNDHWM, SEND_QUEUE)
    router.setsockopt(zmq.HANDSHAKE_IVL, int(limits.HELLO_TIMEOUT_SECS * 1000))
    router.setsockopt(zmq.HEARTBEAT_IVL, int(limits.PING_INTERVAL_SECS * 1000))
    router.setsockopt(zmq.HEARTBEAT_TIMEOUT, int(limits.LIVENESS_SECS * 1000))

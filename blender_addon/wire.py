"""One socket: CURVE, bounds, and why a handshake failed. Used on the connection's thread only."""

from __future__ import annotations

import zmq
from zmq.utils.monitor import parse_monitor_message

from ._protocol import auth, errors, limits

POLL_MILLIS = 20
"""How long a command may wait before the thread sees it."""
_AUTH_FAILED = zmq.EVENT_HANDSHAKE_FAILED_AUTH
_HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class Wire:
    """One DEALER socket with CURVE, and the monitor that tells why a handshake failed."""

    def __init__(self, context: zmq.Context, target: auth.Connection) -> None:
        self._target = target
        self._socket = context.socket(zmq.DEALER)
        options = {
            zmq.LINGER: 0,
            zmq.SNDHWM: 64,
            zmq.RCVHWM: 64,
            zmq.MAXMSGSIZE: limits.MAX_SOCKET_MESSAGE_BYTES,
            zmq.RECONNECT_IVL: 100,
            zmq.RECONNECT_IVL_MAX: 1000,
            zmq.IPV6: 1,
        }
        for option, value in options.items():
            self._socket.setsockopt(option, value)
        self._socket.curve_serverkey = target.server_public_key.encode()
        self._socket.curve_publickey = target.client_public_key.encode()
        self._socket.curve_secretkey = target.client_secret_key.encode()
        self._monitor = self._socket.get_monitor_socket(_HANDSHAKE_FAILED)
        self._socket.connect(target.endpoint)

    def send(self, frames: list[bytes | memoryview]) -> bool:
        """False when the socket's queue is full."""
        try:
            self._socket.send_multipart(frames, zmq.DONTWAIT, copy=sum(map(len, frames)) < 65536)
        except zmq.Again:
            return False
        return True

    def poll(self) -> list[list[bytes]]:
        """The messages that have come; waits a moment for the first."""
        found: list[list[bytes]] = []
        wait = POLL_MILLIS
        while len(found) < limits.CHUNK_WINDOW and self._socket.poll(wait):
            found.append(self._socket.recv_multipart())
            wait = 0
        return found

    def refusal(self) -> errors.MaquetteError | None:
        """Why the handshake failed, if it did."""
        if not self._monitor.poll(0):
            return None
        told = parse_monitor_message(self._monitor.recv_multipart())
        what = "does not know this client's key" if told["event"] == _AUTH_FAILED else "has another key than expected"
        return errors.MaquetteError(
            errors.ErrorCode.NOT_AUTHORISED,
            f"The backend at {self._target.endpoint} {what}.",
            "Start the backend again, or choose the connection file that it wrote.",
        )

    def close(self) -> None:
        self._socket.disable_monitor()
        self._socket.close(linger=0)

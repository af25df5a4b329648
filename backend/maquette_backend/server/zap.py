"""Answers ZeroMQ's authentication requests (RFC 27): only enrolled CURVE keys get in.

CURVE alone admits any key that knows the server's public key; this handler is what makes a stranger's
key useless. It runs in the gateway's own loop: no second thread, no second event loop.
"""

from __future__ import annotations

from collections.abc import Callable

import zmq
from maquette_protocol.auth import ZAP_DOMAIN
from zmq.utils import z85


class ZapHandler:
    """Serves ``inproc://zeromq.zap.01``. Make it before the sockets that it guards."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], admits: Callable[[str], bool]) -> None:
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind("inproc://zeromq.zap.01")
        self._admits = admits

    def answer(self) -> None:
        """Answer every request that waits."""
        while self.socket.poll(0, zmq.POLLIN):
            self.socket.send_multipart(self._reply(self.socket.recv_multipart()))

    def close(self) -> None:
        self.socket.close()

    def _reply(self, request: list[bytes]) -> list[bytes]:
        version, request_id = request[0], request[1]
        user_id = self._user_id(request)
        if user_id is None:
            return [version, request_id, b"400", b"this key is not enrolled", b"", b""]
        return [version, request_id, b"200", b"OK", user_id.encode("ascii"), b""]

    def _user_id(self, request: list[bytes]) -> str | None:
        """The client's public key in Z85 when it is enrolled."""
        if len(request) != 7:
            return None
        version, _, domain, _, _, mechanism, credentials = request
        if (version, domain, mechanism) != (b"1.0", ZAP_DOMAIN.encode(), b"CURVE") or len(credentials) != 32:
            return None
        public = z85.encode(credentials).decode("ascii")
        return public if self._admits(public) else None

"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass

from maquette_protocol.peer_session import PeerSession


@dataclass(frozen=True)
class Client:
    """The key that was admitted, and the connection's session."""

    owner: str
    session: PeerSession

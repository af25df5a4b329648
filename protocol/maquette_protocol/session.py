"""The two ends of a connection, without a socket: ``ClientSession`` and ``PeerSession``, and their events."""

from __future__ import annotations

from .client_session import ClientSession, Request, State, error_from
from .events import (
    Answered,
    Asked,
    Broke,
    ClientEvent,
    Connected,
    Downloaded,
    Greeted,
    JobChanged,
    JobProgressed,
    Lost,
    PeerEvent,
    PreviewArrived,
    Protested,
    Refused,
    RequestFailed,
    TransferFailed,
    TransferMoved,
    Uploaded,
)
from .peer_session import PeerSession

__all__ = [
    "Answered",
    "Asked",
    "Broke",
    "ClientEvent",
    "ClientSession",
    "Connected",
    "Downloaded",
    "Greeted",
    "JobChanged",
    "JobProgressed",
    "Lost",
    "PeerEvent",
    "PeerSession",
    "PreviewArrived",
    "Protested",
    "Refused",
    "Request",
    "RequestFailed",
    "State",
    "TransferFailed",
    "TransferMoved",
    "Uploaded",
    "error_from",
]

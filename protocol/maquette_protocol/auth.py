"""Keys and the connection file that a backend leaves for clients of the same user. No zmq here.

CURVE keys are the 40 Z85 characters of 32 bytes (ZeroMQ RFC 32); they are made with zmq elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .errors import ErrorCode, MaquetteError, ProtocolError
from .plain import from_plain, to_plain

ZAP_DOMAIN = "maquette"
"""The one ZAP domain. Sockets and authenticator must both name it: without a domain libzmq asks nobody."""
CONNECTION_FILE_NAME = "connection.json"
MAX_FILE_BYTES = 4096
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_ENDPOINT = re.compile(r"tcp://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.\-]+):([0-9]{1,5})")


@dataclass(frozen=True)
class Connection:
    """All that a client needs to reach a backend."""

    endpoint: str
    """``tcp://127.0.0.1:<port>``."""
    server_public_key: str
    client_public_key: str
    client_secret_key: str = field(repr=False)
    pid: int = 0
    """The backend's process, or 0 if it runs elsewhere."""


def is_key(text: str) -> bool:
    """True for the 40 Z85 characters of a 32-byte key."""
    if len(text) != 40 or any(char not in _Z85 for char in text):
        return False
    groups = (text[at : at + 5] for at in range(0, 40, 5))
    return all(_group_value(group) < 2**32 for group in groups)


def _group_value(group: str) -> int:
    value = 0
    for char in group:
        value = value * 85 + _Z85.index(char)
    return value


def check_connection(connection: Connection) -> None:
    """Raises ``ProtocolError`` when the endpoint is not TCP or a key is not a key; never shows a secret."""
    match = _ENDPOINT.fullmatch(connection.endpoint)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ProtocolError(f"The endpoint {connection.endpoint[:80]!a} is not of the form tcp://host:port.")
    for name in ("server_public_key", "client_public_key", "client_secret_key"):
        if not is_key(getattr(connection, name)):
            raise ProtocolError(f"The {name.replace('_', ' ')} is not a CURVE key of 40 characters.")


def write_connection(path: Path, connection: Connection) -> None:
    """Write the connection file in one step, readable by this user only; an older one is replaced.

    Raises:
        ProtocolError: the connection is not valid.
        OSError: the folder cannot be written.
    """
    check_connection(connection)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # mkstemp makes the file 0600 from the start, so there is no moment in which another user could read it
    handle, temporary = tempfile.mkstemp(prefix=".connection-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(to_plain(connection), file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_connection(path: Path) -> Connection:
    """Read a connection file.

    Raises:
        MaquetteError: ``unreachable`` if there is none, ``not_authorised`` if other users may read it.
        ProtocolError: it does not hold a valid connection.
    """
    try:
        with path.open("rb") as file:
            _refuse_shared(path, os.fstat(file.fileno()))
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise MaquetteError(
            ErrorCode.UNREACHABLE, f"There is no connection file {path}: no backend runs here.", "Start the backend."
        ) from error
    return _parse(path, data)


def _refuse_shared(path: Path, found: os.stat_result) -> None:
    """POSIX only: Windows keeps other users out of a user's own folders by its access lists."""
    if os.name == "posix" and (found.st_mode & 0o077 or found.st_uid not in (os.getuid(), 0)):
        raise MaquetteError(
            ErrorCode.NOT_AUTHORISED,
            f"The connection file {path} belongs to or is open to other users (mode {found.st_mode & 0o777:o}).",
            "Delete it and start the backend again.",
        )


def _parse(path: Path, data: bytes) -> Connection:
    try:
        plain = json.loads(data[:MAX_FILE_BYTES].decode("utf-8")) if len(data) <= MAX_FILE_BYTES else None
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"The connection file {path} is damaged.", "Start the backend again.") from error
    connection = from_plain(Connection, plain)
    check_connection(connection)
    return connection

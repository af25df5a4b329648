"""The backend's own CURVE key and the list of client keys it admits, as files in the home folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import zmq
from maquette_protocol.auth import is_key
from maquette_protocol.errors import ErrorCode, MaquetteError

from .home import write_private


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, each half 40 characters of Z85 (ZeroMQ RFC 32)."""

    public: str
    secret: str


def generate_key_pair() -> KeyPair:
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode("ascii"), secret.decode("ascii"))


def public_key_of(secret: str) -> str:
    return zmq.curve_public(secret.encode("ascii")).decode("ascii")


def load_server_keys(folder: Path) -> KeyPair:
    """The backend's key pair; made and stored with mode 0600 the first time."""
    return _kept(folder / "server.json")


def load_local_client_keys(folder: Path) -> KeyPair:
    """The key pair of clients of this user on this machine, kept like the backend's own.

    It outlives the backend: jobs belong to a key, and a client that re-attaches after a restart must still own them.
    """
    return _kept(folder / "local_client.json")


def _kept(path: Path) -> KeyPair:
    if not path.exists():
        keys = generate_key_pair()
        write_private(path, json.dumps({"public": keys.public, "secret": keys.secret}).encode())
        return keys
    held = json.loads(path.read_text())
    return KeyPair(check_public_key(held["public"]), held["secret"])


def check_public_key(text: str) -> str:
    """``text`` if it is a Z85 key of 40 characters.

    Raises:
        MaquetteError: NOT_AUTHORISED when it is not.
    """
    if not is_key(text):
        raise MaquetteError(
            ErrorCode.NOT_AUTHORISED,
            f"{text!r} is not a public key: a key has 40 characters of Z85.",
            "Copy the whole line that 'keys generate' or the add-on's preferences show.",
        )
    return text


class ClientKeys:
    """The enrolled client keys, each with a name. Other processes may change the file while a backend runs,
    so it is read again whenever it was replaced."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clients.json"
        self._stamp: tuple[int, int, int] | None = None
        self._names: dict[str, str] = {}

    def names(self) -> dict[str, str]:
        """Public key → name."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._names = None, {}
            return {}
        # The inode tells apart two replacements within one tick of the file system's clock.
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            self._names = json.loads(self._path.read_text())
            self._stamp = stamp
        return dict(self._names)

    def admits(self, public: str) -> bool:
        return public in self.names()

    def enrol(self, public: str, name: str) -> None:
        self._store({**self.names(), check_public_key(public): name})

    def revoke(self, public: str) -> bool:
        """Forget a key; False when it was not enrolled. A running backend refuses it from its next message on."""
        names = self.names()
        if names.pop(public, None) is None:
            return False
        self._store(names)
        return True

    def _store(self, names: dict[str, str]) -> None:
        write_private(self._path, json.dumps(names, indent=1).encode())

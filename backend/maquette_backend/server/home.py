"""The folder where a backend keeps what must outlive it: keys, journal, blobs, checkpoints."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True)
class Home:
    """Paths inside the home folder. Everything in it is readable by its owner only."""

    root: Path

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def journal(self) -> Path:
        return self.root / "journal.sqlite3"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def jobs(self) -> Path:
        """One folder a job, for its checkpoint."""
        return self.root / "jobs"

    @property
    def models(self) -> Path:
        """Folders of diffusers models that the operator put here."""
        return self.root / "models"

    @property
    def connection_file(self) -> Path:
        return self.root / "connection.json"


def default_home() -> Path:
    """The user's data folder for Maquette, by the habits of the operating system."""
    return Path(platformdirs.user_data_dir("maquette", appauthor=False))


def open_home(root: Path | None) -> Home:
    """Make the home's folders, closed to other users, and return their paths."""
    home = Home((root or default_home()).expanduser().resolve())
    for folder in (home.root, home.keys, home.blobs, home.jobs, home.models):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.root.chmod(0o700)
    return home


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` atomically by a file that only its owner can read, durable when this returns."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    # O_EXCL with the mode at creation: at no moment can another user open it.
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)

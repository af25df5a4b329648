"""A job's newest checkpoint on disk: named tensors and a few texts in one safetensors file, atomically replaced."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

_LOG = logging.getLogger(__name__)


class FileCheckpoints:
    """A ``CheckpointStore`` in one folder. A kill at any moment leaves the old checkpoint or the new one, never a
    half of either."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "checkpoint.safetensors"

    def save(self, arrays: Mapping[str, NDArray[np.generic]], about: Mapping[str, str]) -> None:
        """Replace the checkpoint.

        Raises:
            OSError: when the disk is full; the former checkpoint is still there.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = save({name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata=dict(about))
        fresh = self._path.with_suffix(".fresh")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def load(self) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]] | None:
        """The newest checkpoint, or None: also when the file is damaged, for a job can always begin again."""
        if not self._path.exists():
            return None
        try:
            with safe_open(self._path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                return arrays, dict(file.metadata() or {})
        except SafetensorError as error:
            _LOG.warning("checkpoint %s is damaged (%s); the job begins again", self._path, error)
            self._path.rename(self._path.with_suffix(".damaged"))
            return None

    def clear(self) -> None:
        """Forget the checkpoint once the job has ended."""
        for leftover in self._folder.glob("checkpoint.*"):
            leftover.unlink()
        if self._folder.exists():
            self._folder.rmdir()

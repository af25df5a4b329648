"""What a job remembers across its own death: finished subjects, and the running stage's state."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from maquette_backend.refine.events import CheckpointStore, Origin, RefinedSubject

EVERY_SECS = 20.0
"""Between checkpoints while a stage runs: at most this much work is lost."""
FORMAT = "2"
"""Of what stages keep. 1, which had no mark: maps held albedo as light, not as sRGB."""
_LOG = logging.getLogger(__name__)
Arrays = dict[str, NDArray[np.generic]]
_IMAGES = ("base_color", "roughness", "metallic", "normal")


class JobMemory:
    """The newest checkpoint, kept in two parts: results under ``done/<subject>/…``, the stage under ``stage/…``.

    Of a checkpoint in another format only results are kept: a stage would go on from arrays that mean something else.
    """

    def __init__(self, store: CheckpointStore, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._saved_at = now()
        found = store.load()
        self._arrays, self._about = found if found is not None else ({}, {})
        if found is not None and self._about.get("format") != FORMAT:
            _LOG.warning("the checkpoint is another version's: what is finished is kept, the rest of the job begins again")
            self._drop("stage")
            self._drop("held")

    def finished(self, subject_id: str) -> RefinedSubject | None:
        """A subject's result from before, or None."""
        if f"done/{subject_id}/positions" not in self._arrays:
            return None
        return RefinedSubject(
            subject_id,
            same_topology=self._about[f"done/{subject_id}/same_topology"] == "yes",
            positions=self._arrays[f"done/{subject_id}/positions"].astype(np.float32, copy=False),
            triangles=self._arrays[f"done/{subject_id}/triangles"].astype(np.int32, copy=False),
            corner_uvs=_float_or_none(self._arrays.get(f"done/{subject_id}/corner_uvs")),
            origin=self._origin(f"done/{subject_id}/origin"),
            seen=float(self._about.get(f"done/{subject_id}/seen", "1")),
            upscaled_by=self._about.get(f"done/{subject_id}/upscaled_by", ""),
            **{name: _byte_or_none(self._arrays.get(f"done/{subject_id}/{name}")) for name in _IMAGES},
        )

    def _origin(self, prefix: str) -> Origin | None:
        if f"{prefix}/vertex_triangles" not in self._arrays:
            return None
        return Origin(
            self._arrays[f"{prefix}/vertex_triangles"].astype(np.int32, copy=False),
            self._arrays[f"{prefix}/vertex_weights"].astype(np.float32, copy=False),
            self._arrays[f"{prefix}/face_triangles"].astype(np.int32, copy=False),
        )

    def finish(self, result: RefinedSubject) -> None:
        """Keep a result for good, and forget the stages that made it."""
        prefix = f"done/{result.subject_id}"
        self._drop("stage")
        self._drop(f"held/{result.subject_id}")
        for name in ("positions", "triangles", "corner_uvs", *_IMAGES):
            value = getattr(result, name)
            if value is not None:
                self._arrays[f"{prefix}/{name}"] = value
        if result.origin is not None:
            self._arrays |= {f"{prefix}/origin/{name}": value for name, value in vars(result.origin).items()}
        self._about |= {
            f"{prefix}/same_topology": "yes" if result.same_topology else "no",
            f"{prefix}/seen": repr(result.seen),
            f"{prefix}/upscaled_by": result.upscaled_by,
        }
        self._save()

    def stage(self, name: str) -> tuple[int, Arrays] | None:
        """Steps done and arrays of the stage called ``name``, if that is what was running."""
        if self._about.get("stage/name") != name:
            return None
        arrays = {key.removeprefix("stage/"): value for key, value in self._arrays.items() if key.startswith("stage/")}
        return int(self._about["stage/step"]), arrays

    def hold(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Remember what came out of a stage, under ``<subject>/<what>``; written with the next checkpoint."""
        self._arrays |= {f"held/{name}/{key}": value for key, value in arrays.items()}
        self._about[f"held/{name}/"] = "yes"

    def held(self, name: str) -> Arrays | None:
        """What ``hold`` was given, or None."""
        if f"held/{name}/" not in self._about:
            return None
        prefix = f"held/{name}/"
        return {key.removeprefix(prefix): value for key, value in self._arrays.items() if key.startswith(prefix)}

    def due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return self._now() - self._saved_at >= EVERY_SECS

    def keep_stage(self, name: str, step: int, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Replace the running stage's state."""
        self._drop("stage")
        self._arrays |= {f"stage/{key}": value for key, value in arrays.items()}
        self._about |= {"stage/name": name, "stage/step": str(step)}
        self._save()

    def _drop(self, prefix: str) -> None:
        self._arrays = {key: value for key, value in self._arrays.items() if not key.startswith(f"{prefix}/")}
        self._about = {key: value for key, value in self._about.items() if not key.startswith(f"{prefix}/")}

    def _save(self) -> None:
        self._about["format"] = FORMAT
        self._store.save(self._arrays, self._about)
        self._saved_at = self._now()


def _float_or_none(array: NDArray[np.generic] | None) -> NDArray[np.float32] | None:
    return None if array is None else array.astype(np.float32, copy=False)


def _byte_or_none(array: NDArray[np.generic] | None) -> NDArray[np.uint8] | None:
    return None if array is None else array.astype(np.uint8, copy=False)

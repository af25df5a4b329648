"""Runs one job in the worker: the job's reports go out over the channel, the gateway's wishes come in."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from maquette_protocol import limits
from maquette_protocol.arrays import Array
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.messages import JobProgress, Preview, PromptReading, SubjectResult, SurfaceOrigin
from maquette_protocol.recipe import MeshRef, Recipe

from ..refine.events import (
    ArrayReader,
    CheckpointStore,
    JobEvents,
    Origin,
    PreviewFrame,
    Progress,
    RefinedSubject,
    Wish,
)
from ..server.blob_store import BlobStore
from .checkpoint import FileCheckpoints
from .executor import Ended, Noticed, Outcome, PromptsRead, RunJob

if TYPE_CHECKING:  # a job that needs no prior runs without torch
    from ..priors.prior import Prior

PREVIEW_INTERVAL_SECS = 0.25
_LOG = logging.getLogger(__name__)


class JobFunction(Protocol):
    """What does a job: ``refine.job.refine_job``."""

    def __call__(
        self,
        recipe: Recipe,
        read: ArrayReader,
        events: JobEvents,
        checkpoints: CheckpointStore,
        priors: Callable[[str], Prior],
    ) -> None: ...


class Outlet(Protocol):
    """Where the reports go. Lossy ones replace an older one that was not sent yet."""

    def told(self, report: PromptsRead | Noticed) -> None: ...
    def progress(self, token: int, progress: JobProgress) -> None: ...
    def preview(self, token: int, preview: Preview, arrays: Mapping[str, Array]) -> None: ...
    def preview_pending(self) -> bool: ...


class ChannelEvents:
    """A ``JobEvents`` for one run of one job."""

    def __init__(self, order: RunJob, store: BlobStore, outlet: Outlet) -> None:
        self._order = order
        self._store = store
        self._outlet = outlet
        self._lock = threading.Lock()
        self._wish: Wish = order.wish
        self._leaving = False
        self._last_preview_secs = 0.0
        self.heeded: Wish = "go_on"
        """The last wish that the job was told of."""
        self.previews_wanted = False
        self.results: list[SubjectResult] = []

    @property
    def token(self) -> int:
        return self._order.token

    @property
    def leaving(self) -> bool:
        return self._leaving

    # ---- from the gateway, on the reader's thread ----
    def set_wish(self, wish: Wish) -> None:
        with self._lock:
            self._wish = wish

    def leave(self) -> None:
        """The worker shuts down: the job stops where it is and keeps its checkpoint."""
        self._leaving = True

    # ---- JobEvents, on the job's thread ----
    def wish(self) -> Wish:
        with self._lock:
            self.heeded = "cancel" if self._leaving else self._wish
            return self.heeded

    def prompts_read(self, readings: tuple[PromptReading, ...]) -> None:
        self._outlet.told(PromptsRead(self._order.job_id, self.token, readings))

    def notice(self, sentence: str) -> None:
        self._outlet.told(Noticed(self._order.job_id, self.token, sentence[: limits.MAX_NOTICE_CHARS]))

    def progress(self, progress: Progress) -> None:
        eta = progress.eta_secs if np.isfinite(progress.eta_secs) else 0.0
        loss = progress.loss if np.isfinite(progress.loss) else 0.0
        self._outlet.progress(
            self.token,
            JobProgress(
                self._order.job_id, progress.stage, progress.subject_id,
                int(progress.step), int(progress.steps), float(eta), float(loss),
            ),
        )  # fmt: skip

    def preview_wanted(self) -> bool:
        late = time.monotonic() - self._last_preview_secs >= PREVIEW_INTERVAL_SECS
        return self.previews_wanted and late and not self._outlet.preview_pending()

    def preview(self, frame: PreviewFrame) -> None:
        self._last_preview_secs = time.monotonic()
        arrays = preview_arrays(frame)
        if sum(array.nbytes for array in arrays.values()) > limits.MAX_ARRAY_BYTES:
            return  # lossy by contract: a surface of this size is shown when it is finished
        preview = Preview(self._order.job_id, frame.subject_id, frame.stage, int(frame.step), int(frame.topology))
        self._outlet.preview(self.token, preview, arrays)

    def finished(self, subject: RefinedSubject) -> None:
        write = self._store.write_array
        uvs = subject.corner_uvs
        mesh = MeshRef(
            write(np.asarray(subject.positions, np.float32)),
            write(np.asarray(subject.triangles, np.int32)),
            None if uvs is None else write(np.asarray(uvs, np.float32)),
        )
        images = {
            name: None if image is None else write(np.asarray(image, np.uint8))
            for name, image in (
                ("base_color", subject.base_color), ("roughness", subject.roughness),
                ("metallic", subject.metallic), ("normal", subject.normal),
            )
        }  # fmt: skip
        origin = None if subject.origin is None else self._written_origin(subject.origin)
        # A job that resumes may report a subject again: the newest counts.
        self.results = [known for known in self.results if known.subject_id != subject.subject_id]
        same, seen = bool(subject.same_topology), float(subject.seen)
        self.results.append(
            SubjectResult(
                subject.subject_id, mesh, same, origin=origin, seen=seen, upscaled_by=subject.upscaled_by, **images
            )
        )

    def _written_origin(self, origin: Origin) -> SurfaceOrigin:
        write = self._store.write_array
        return SurfaceOrigin(
            write(np.asarray(origin.vertex_triangles, np.int32)),
            write(np.asarray(origin.vertex_weights, np.float32)),
            write(np.asarray(origin.face_triangles, np.int32)),
        )


def preview_arrays(frame: PreviewFrame) -> dict[str, Array]:
    """The arrays that a preview carries; a texture is thinned out to at most 512 pixels a side."""
    arrays: dict[str, Array] = {
        "positions": np.array(frame.positions, np.float32),
        "triangles": np.array(frame.triangles, np.int32),
    }
    if frame.texture is not None and frame.corner_uvs is not None:
        step = max(1, max(frame.texture.shape[:2]) // 512)
        arrays["texture"] = np.array(frame.texture[::step, ::step], np.uint8)
        arrays["corner_uvs"] = np.array(frame.corner_uvs, np.float32)
    elif frame.colors is not None:
        arrays["colors"] = np.array(frame.colors, np.uint8)
    return arrays


def run_job(
    order: RunJob,
    job: JobFunction,
    events: ChannelEvents,
    store: BlobStore,
    jobs_folder: Path,
    priors: Callable[[str], Prior],
) -> Ended:
    """Run a job to its end, whatever that is."""
    checkpoints = FileCheckpoints(jobs_folder / order.job_id)
    try:
        job(order.recipe, store.read_array, events, checkpoints, priors)
    except Exception as error:
        _LOG.exception("job %s failed", order.job_id)
        failure = explain(error)
        return Ended(
            order.job_id, order.token, "failed", (), str(failure.code),
            failure.message[: limits.MAX_TEXT_CHARS], failure.remedy[: limits.MAX_TEXT_CHARS],
        )  # fmt: skip
    outcome: Outcome = "finished"
    if events.heeded == "cancel":
        outcome = "shelved" if events.leaving else "cancelled"
    return Ended(order.job_id, order.token, outcome, tuple(events.results) if outcome == "finished" else ())


def explain(error: Exception) -> MaquetteError:
    """An exception as an error that a person can act on."""
    if isinstance(error, MaquetteError):
        return error
    # torch's own out-of-memory error on a GPU, recognised without importing torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return MaquetteError(
            ErrorCode.OUT_OF_MEMORY,
            f"The machine ran out of memory: {error}".strip(),
            "Lower the grid resolution, the texture size or the views per step.",
        )
    return MaquetteError(
        ErrorCode.INTERNAL, f"{type(error).__name__}: {error}", "This is a defect; the backend's log has the details."
    )

"""A job's life in the gateway: accepted, queued, running, ended. Ties journal, scheduler and executor together."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from maquette_protocol import limits
from maquette_protocol.arrays import Array, ref_size
from maquette_protocol.errors import ErrorCode
from maquette_protocol.messages import (
    JobProgress,
    JobState,
    JobStatus,
    JobSummary,
    Preview,
    PromptReading,
    SubjectResult,
)
from maquette_protocol.plain import from_plain, to_plain
from maquette_protocol.recipe import ArrayRef, MeshRef, Recipe, Subject, SurfaceMaps
from maquette_protocol.recipe_text import recipe_from_json, recipe_hash, recipe_to_bytes

from ..workers.executor import (
    Ended,
    Executor,
    Heard,
    Lost,
    Noticed,
    Previewed,
    Progressed,
    PromptsRead,
    RunJob,
    SetWish,
    WantPreviews,
)
from .holdings import Holdings
from .journal import MAX_DEATHS, JobRecord, Journal
from .scheduler import Lease, Scheduler

CANCEL_GRACE_SECS = 15.0
"""A cancelled job that has not ended by then loses its worker."""
_LOG = logging.getLogger(__name__)


class Audience(Protocol):
    """Who is told about jobs: the clients that are attached."""

    def status(self, owner: str, status: JobStatus) -> None: ...
    def progress(self, owner: str, progress: JobProgress) -> None: ...
    def preview(self, owner: str, preview: Preview, arrays: Mapping[str, Array]) -> None: ...
    def wants_preview(self, owner: str, job_id: str) -> bool: ...


class JobKeeper:
    """Call ``tick`` and ``hear`` often; times are (monotonic, Unix) seconds given by the caller."""

    def __init__(
        self,
        journal: Journal,
        holdings: Holdings,
        scheduler: Scheduler,
        executor: Executor,
        audience: Audience,
        jobs_folder: Path,
    ) -> None:
        self._journal = journal
        self._holdings = holdings
        self._scheduler = scheduler
        self._executor = executor
        self._audience = audience
        self._jobs_folder = jobs_folder
        self._give_up_at_secs: dict[str, float] = {}
        self._previews: dict[str, bool] = {}
        self._readings: dict[str, tuple[PromptReading, ...]] = {}
        """Of unfinished jobs; a job that resumes after a restart tells them again."""
        self._notices: dict[str, tuple[str, ...]] = {}

    def recover(self, now_unix_secs: float) -> None:
        """Take up what an earlier run of the backend left."""
        for record in self._journal.unfinished():
            if record.wish == "cancel":
                self._end(record.job_id, record.owner, JobStatus(record.job_id, "cancelled"), now_unix_secs)
                continue
            if record.state == "running":
                self._journal.requeue(record.job_id)
            self._scheduler.enqueue(record.job_id, record.owner)

    # ---- what clients ask ----
    def submit(self, owner: str, job_id: str, recipe: Recipe, now_unix_secs: float) -> JobStatus:
        """Accept a job that was checked. The same submission again gets the same answer.

        Raises:
            MaquetteError: CONFLICT.
        """
        if self._journal.accept(job_id, owner, recipe_to_bytes(recipe), recipe_hash(recipe), now_unix_secs):
            self._scheduler.enqueue(job_id, owner)
        return self.status(owner, job_id)

    def status(self, owner: str, job_id: str) -> JobStatus:
        """The state of a client's own job.

        Raises:
            MaquetteError: UNKNOWN_JOB.
        """
        return self._status_of(self._journal.job_of(job_id, owner))

    def cancel(self, owner: str, job_id: str, keep: bool, now_secs: float, now_unix_secs: float) -> JobStatus:
        """End a client's own job; one that has ended stays as it is.

        Raises:
            MaquetteError: UNKNOWN_JOB.
        """
        record = self._journal.job_of(job_id, owner)
        if record.state == "queued" and (record.token == 0 or not keep):
            # It has made nothing that could be kept.
            self._scheduler.withdraw(job_id)
            self._end(job_id, owner, JobStatus(job_id, "cancelled"), now_unix_secs)
        elif record.state in ("queued", "running"):
            wish = "stop_and_keep" if keep else "cancel"
            self._journal.set_wish(job_id, wish)
            lease = self._scheduler.lease_of(job_id)
            if lease is not None:
                self._executor.send(lease.worker, SetWish(lease.token, wish))
                if not keep:
                    self._give_up_at_secs[job_id] = now_secs + CANCEL_GRACE_SECS
        return self.status(owner, job_id)

    def summaries(self, owner: str, limit: int) -> tuple[JobSummary, ...]:
        return tuple(
            JobSummary(
                record.job_id,
                record.state,
                tuple(subject.name for subject in _recipe_of(record).subjects),
                record.created_unix_secs,
            )
            for record in self._journal.jobs_of(owner, limit)
        )

    def blobs_in_use(self) -> frozenset[str]:
        """Blobs that unfinished jobs refer to."""
        return frozenset(
            ref.sha256
            for record in self._journal.unfinished()
            for _, refs in recipe_refs(_recipe_of(record))
            for ref in refs
        )

    # ---- what workers report ----
    def hear(self, now_secs: float, now_unix_secs: float) -> None:
        """Act on all that the executor has to tell."""
        for item in self._executor.take():
            if isinstance(item, Lost):
                for lease in self._scheduler.leases_of(item.worker):
                    self._lost(lease, item.reason, now_unix_secs)
            else:
                self._heard(item, now_secs, now_unix_secs)

    def tick(self, now_secs: float, now_unix_secs: float) -> None:
        """Give work out, and take it back from workers that do not do it."""
        self._executor.tick(now_secs)
        for lease in self._scheduler.expired(now_secs):
            self._executor.give_up(lease.worker)
            self._lost(lease, "its lease ran out", now_unix_secs)
        for job_id, deadline in list(self._give_up_at_secs.items()):
            lease = self._scheduler.lease_of(job_id)
            if now_secs >= deadline and lease is not None:
                self._executor.give_up(lease.worker)
                del self._give_up_at_secs[job_id]
        self.assign(now_secs)

    def assign(self, now_secs: float) -> None:
        """Give the next jobs to free workers."""
        while (worker := self._executor.free_worker()) is not None and (turn := self._scheduler.next_job()) is not None:
            job_id, owner = turn
            token = self._journal.begin(job_id)
            self._scheduler.lease(worker, token, now_secs)
            record = self._journal.job_of(job_id, owner)
            self._previews.pop(job_id, None)
            self._executor.send(worker, RunJob(job_id, token, _recipe_of(record), record.wish))
            self._audience.status(owner, self._status_of(record))
            self._tell_positions()

    def ask_for_previews(self) -> None:
        """Tell workers whether anybody wants previews, where that changed."""
        for record_id, lease in self._scheduler.leases().items():
            wanted = self._audience.wants_preview(lease.owner, record_id)
            if self._previews.get(record_id, False) != wanted:
                self._previews[record_id] = wanted
                self._executor.send(lease.worker, WantPreviews(lease.token, wanted))

    def shelve(self, grace_secs: float, now_secs: float, now_unix_secs: float) -> None:
        """The backend stops: running jobs keep their checkpoints and wait for its next start."""
        self._executor.stop(grace_secs)
        self.hear(now_secs, now_unix_secs)
        for job_id in self._scheduler.leases():
            self._journal.requeue(job_id)

    # ---- inside ----
    def _heard(self, heard: Heard, now_secs: float, now_unix_secs: float) -> None:
        report = heard.report
        if isinstance(report, Progressed | Previewed):
            job_id = (report.progress if isinstance(report, Progressed) else report.preview).job_id
            lease = self._scheduler.lease_of(job_id)
            if lease is None or lease.token != report.token:
                return
            self._scheduler.renew(job_id, report.token, now_secs)
            if isinstance(report, Progressed):
                self._audience.progress(lease.owner, report.progress)
            else:
                self._audience.preview(lease.owner, report.preview, heard.arrays)
        elif isinstance(report, PromptsRead):
            self._prompts_read(report)
        elif isinstance(report, Noticed):
            self._noticed(report)
        elif isinstance(report, Ended):
            self._ended(report, now_unix_secs)

    def _prompts_read(self, report: PromptsRead) -> None:
        lease = self._scheduler.lease_of(report.job_id)
        if lease is None or lease.token != report.token:
            return
        # a worker's mistake must not make a status that cannot be sent
        self._readings[report.job_id] = tuple(
            replace(reading, nearest=reading.nearest[: limits.MAX_NAME_CHARS])
            for reading in report.readings[: limits.MAX_SUBJECTS]
        )
        self._audience.status(lease.owner, self.status(lease.owner, report.job_id))

    def _noticed(self, report: Noticed) -> None:
        lease = self._scheduler.lease_of(report.job_id)
        if lease is None or lease.token != report.token:
            return
        sentence = report.sentence[: limits.MAX_NOTICE_CHARS]
        earlier = [one for one in self._notices.get(report.job_id, ()) if one != sentence]
        self._notices[report.job_id] = (*earlier, sentence)[-limits.MAX_NOTICES :]
        self._audience.status(lease.owner, self.status(lease.owner, report.job_id))

    def _ended(self, ended: Ended, now_unix_secs: float) -> None:
        lease = self._scheduler.lease_of(ended.job_id)
        if lease is None or not self._scheduler.release(ended.job_id, ended.token):
            _LOG.warning("a late result of job %s (token %d) is refused", ended.job_id, ended.token)
            return
        if ended.outcome == "shelved":
            self._journal.requeue(ended.job_id)
            self._scheduler.enqueue_first(ended.job_id, lease.owner)
            return
        for result in ended.results:
            for ref in result_refs(result):
                self._holdings.settle(lease.owner, ref.sha256, ref_size(ref), now_unix_secs)
        status = JobStatus(
            ended.job_id, ended.outcome, 0, ended.results, ended.error_code, ended.error_message, ended.error_remedy
        )
        self._end(ended.job_id, lease.owner, status, now_unix_secs)

    def _lost(self, lease: Lease, reason: str, now_unix_secs: float) -> None:
        if not self._scheduler.release(lease.job_id, lease.token):
            return
        record = self._journal.job_of(lease.job_id, lease.owner)
        if record.wish == "cancel":
            self._end(lease.job_id, lease.owner, JobStatus(lease.job_id, "cancelled"), now_unix_secs)
        elif self._journal.worker_died(lease.job_id) >= MAX_DEATHS:
            message = f"The worker died {MAX_DEATHS} times on this job ({reason}), so it was given up."
            remedy = "Lower the grid resolution or the texture size; the backend's log may say more."
            self._fail(lease, ErrorCode.WORKER_LOST, message, remedy, now_unix_secs)
        else:
            self._scheduler.enqueue_first(lease.job_id, lease.owner)
            self._audience.status(lease.owner, self.status(lease.owner, lease.job_id))

    def _fail(self, lease: Lease, code: ErrorCode, message: str, remedy: str, now_unix_secs: float) -> None:
        status = JobStatus(lease.job_id, "failed", 0, (), str(code), message, remedy)
        self._end(lease.job_id, lease.owner, status, now_unix_secs)

    def _end(self, job_id: str, owner: str, status: JobStatus, now_unix_secs: float) -> None:
        status = self._with_all_told(status)
        self._readings.pop(job_id, None)
        self._notices.pop(job_id, None)
        self._journal.end(job_id, status.state, json.dumps(to_plain(status)).encode(), now_unix_secs)
        self._give_up_at_secs.pop(job_id, None)
        self._previews.pop(job_id, None)
        folder = self._jobs_folder / job_id
        if folder.exists():
            shutil.rmtree(folder)
        self._audience.status(owner, status)
        self._tell_positions()

    def _tell_positions(self) -> None:
        """Those who wait hear when their place changes."""
        for job_id, position in self._scheduler.positions().items():
            record = self._journal.job(job_id)
            if record is not None:
                self._audience.status(record.owner, self._with_all_told(JobStatus(job_id, "queued", position)))

    def _status_of(self, record: JobRecord) -> JobStatus:
        if record.status is not None:
            return from_plain(JobStatus, json.loads(record.status))
        state: JobState = record.state
        return self._with_all_told(JobStatus(record.job_id, state, self._position(record)))

    def _with_all_told(self, status: JobStatus) -> JobStatus:
        """With what was said of the job."""
        readings, notices = self._readings.get(status.job_id, ()), self._notices.get(status.job_id, ())
        return replace(status, readings=readings, notices=notices)

    def _position(self, record: JobRecord) -> int:
        return self._scheduler.positions().get(record.job_id, 0) if record.state == "queued" else 0


def recipe_refs(recipe: Recipe) -> list[tuple[str, list[ArrayRef]]]:
    """Every blob that a recipe refers to, by the object's name."""
    subjects = [(one.name, _present(*_mesh_parts(one.mesh), *_controls(one), *_images(one))) for one in recipe.subjects]
    context = [(one.name, _present(*_mesh_parts(one.mesh))) for one in recipe.context]
    return [*subjects, *context, ("The environment", _present(recipe.lighting.environment))]


def result_refs(result: SubjectResult) -> list[ArrayRef]:
    """Every blob that a subject's result refers to."""
    origin = result.origin
    carried = () if origin is None else (origin.vertex_triangles, origin.vertex_weights, origin.face_triangles)
    material = (result.base_color, result.roughness, result.metallic, result.normal)
    return _present(*_mesh_parts(result.mesh), *material, *carried)


def _mesh_parts(mesh: MeshRef) -> tuple[ArrayRef | None, ...]:
    return mesh.positions, mesh.triangles, mesh.corner_uvs


def _controls(subject: Subject) -> tuple[ArrayRef | None, ...]:
    return subject.mask, subject.sharp_edges, subject.texel_mask, subject.painted_triangles


def _images(subject: Subject) -> tuple[ArrayRef | None, ...]:
    maps = subject.maps or SurfaceMaps()
    return maps.base_color, maps.roughness, maps.metallic, maps.normal


def _present(*refs: ArrayRef | None) -> list[ArrayRef]:
    return [ref for ref in refs if ref is not None]


def _recipe_of(record: JobRecord) -> Recipe:
    return recipe_from_json(record.recipe.decode())

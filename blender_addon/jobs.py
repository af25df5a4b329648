"""The job that runs: begun, followed, shown, delivered, found again after undo, reload or a crash."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import bpy
from bpy.app.handlers import persistent

from . import (
    look_settings,
    map_arrival,
    properties,
    result_notes,
    same_topology,
    scene_reading,
    scene_writing,
    undo_steps,
)
from ._protocol import errors, messages, readings, recipe_text, version
from .refined import Frame, Refined
from .scene_reading import TargetKey
from .target_settings import Delivery
from .traffic import Changed, Delivered, EndJob, Event, Failed, FollowJob, PreviewShown, Progressed, StartJob, Uploading

if TYPE_CHECKING:
    from .pump import Runtime

Code = errors.ErrorCode
VERSIONS = f"add-on 0.1.0, protocol {version.MAJOR}.{version.MINOR}"


@dataclass
class LiveJob:
    """A job as far as the add-on knows it. Objects are found by ``TargetKey``, never held."""

    job_id: str
    recipe_json: str
    targets: tuple[TargetKey, ...]
    state: str = "uploading"
    queue_position: int = 0
    progress: messages.JobProgress | None = None
    readings: tuple[messages.PromptReading, ...] = ()
    """What the prior makes of the prompts, once it has said so."""
    said: tuple[str, ...] = ()
    """The same in sentences."""
    notices: tuple[str, ...] = ()
    """What the backend changed so that the job could go on."""
    uploaded: float = 0.0
    """Fraction of the arrays sent."""
    error: errors.MaquetteError | None = None
    delivered: list[str] = field(default_factory=list)
    """Names of the objects that were made."""
    previews: int = 0
    notes: list[str] = field(default_factory=list)
    """What to know of the results, by their targets' names."""


def start(context: bpy.types.Context, now: Runtime) -> LiveJob:
    """Read the scene and hand its job to the connection.

    Raises:
        MaquetteError: the scene must be changed first, no backend answers, or a job runs. Nothing was changed.
    """
    if now.job is not None:
        raise errors.MaquetteError(Code.CONFLICT, "A refinement is running.", "Wait for it, or cancel it.")
    known = (now.welcome.priors, now.welcome.controls) if now.welcome else ((), ())
    reading = scene_reading.read_scene(context, *known)
    if now.welcome is None:
        raise now.offline or errors.MaquetteError(
            Code.UNREACHABLE, "No backend is connected.", "Press Start Backend, or choose a connection file."
        )
    job = LiveJob(uuid.uuid4().hex, recipe_text.recipe_to_json(reading.recipe), reading.targets)
    now.job, now.last_error = job, None
    remember(context.scene, job)
    now.send(StartJob(job.job_id, reading.recipe, reading.blobs))
    return job


def end(context: bpy.types.Context, now: Runtime, *, keep: bool) -> None:
    """Cancel the job; with ``keep``, let it deliver what it has."""
    job = now.job
    if job is None:
        return
    now.send(EndJob(job.job_id, keep))
    if keep:
        job.state = "stopping"
    else:
        job.state = "cancelled"
        _close(context, now, job)


# ---- what the connection says ---------------------------------------------------------------------
def handle(context: bpy.types.Context, now: Runtime, event: Event) -> None:
    """Take an event of the running job in; one of another job is of no interest any more."""
    job = now.job
    if isinstance(event, Failed) and not event.job_id:
        now.last_error = event.error
    if job is None or _job_id(event) != job.job_id:
        return
    match event:
        case Uploading():
            job.uploaded = event.done / max(event.size, 1)
        case Progressed():
            job.progress = event.progress
        case Changed():
            _changed(context, now, job, event.status)
        case Delivered():
            _begin_arrival(context, now, job, event.subjects)
        case Failed():
            _fail(context, now, job, event.error, forget_it=not event.unknown)
        case _:
            pass


def _job_id(event: Event) -> str:
    match event:
        case Progressed():
            return event.progress.job_id
        case Changed():
            return event.status.job_id
        case Uploading() | Delivered() | Failed():
            return event.job_id
        case _:
            return ""


def _changed(context: bpy.types.Context, now: Runtime, job: LiveJob, status: messages.JobStatus) -> None:
    job.state, job.queue_position = status.state, status.queue_position
    if status.readings and status.readings != job.readings:
        job.readings = status.readings
        job.said = readings.sentences(status.readings, recipe_text.recipe_from_json(job.recipe_json))
    if status.notices:
        job.notices = status.notices
    if status.state == "failed":
        known = status.error_code in tuple(Code)
        code = Code(status.error_code) if known else Code.INTERNAL
        error = errors.MaquetteError(code, status.error_message or "The job failed.", status.error_remedy)
        _fail(context, now, job, error, forget_it=True)
    elif status.state in ("cancelled", "finished") and not status.results:
        _close(context, now, job)


def show(context: bpy.types.Context, now: Runtime, frame: Frame) -> None:
    """Show a preview, if its job still runs and its target is still there."""
    job = now.job
    if job is None or frame.job_id != job.job_id:
        return
    now.send(PreviewShown(job.job_id))
    key = next((key for key in job.targets if key.subject_id == frame.subject_id), None)
    target = None if key is None else find_target(job.job_id, key)
    if key is not None and target is not None:
        scene_writing.show_preview(context, target, frame, key.how)
        job.previews += 1


def _fail(
    context: bpy.types.Context, now: Runtime, job: LiveJob, error: errors.MaquetteError, *, forget_it: bool
) -> None:
    job.state, job.error, now.last_error = "failed", error, error
    _close(context, now, job, forget_it=forget_it)


def _close(context: bpy.types.Context, now: Runtime, job: LiveJob, *, forget_it: bool = True) -> None:
    """The scene as it was before the job."""
    for preview in scene_writing.previews(job.job_id):
        scene_writing.drop_preview(context, preview)
    if forget_it:
        now.closed.add(job.job_id)
        forget(job.job_id)
    now.job = None


def _begin_arrival(
    context: bpy.types.Context, now: Runtime, job: LiveJob, subjects: tuple[Refined, ...]
) -> None:
    """The results are here; their maps become images first, one in each tick."""
    job.state = "receiving"
    subjects = tuple(scene_writing.as_asked(one, job.recipe_json) for one in subjects)
    orders = {key.subject_id: _order(context, job, key, subjects) for key in job.targets}
    now.arrival = map_arrival.Arrival(job.job_id, subjects, orders, look_settings.image_folder(context.scene))


def _order(
    context: bpy.types.Context, job: LiveJob, key: TargetKey, subjects: tuple[Refined, ...]
) -> map_arrival.Order:
    """What becomes of one target's maps; of one that is gone, nothing has to fit its polygons."""
    name, target = scene_writing.result_name(key.name), find_target(job.job_id, key)
    came = next((one for one in subjects if one.subject_id == key.subject_id), None)
    if came is None or target is None or not came.same_topology or len(key.how.tiles) > 1:
        return map_arrival.Order(name, key.how.tiles)
    return map_arrival.Order(name, key.how.tiles, same_topology.cut_polygons(context, target, came.surface, key.how))


def advance_arrival(context: bpy.types.Context, now: Runtime) -> bool:
    """Take in one map, or the results once all are there; True when something changed."""
    arrival, job = now.arrival, now.job
    if arrival is None:
        return False
    if job is None or job.job_id != arrival.job_id:
        arrival.drop()
        now.arrival = None
        return True
    try:
        subjects = arrival.step()
    except errors.MaquetteError as error:
        now.arrival = None
        _fail(context, now, job, error, forget_it=False)
        return True
    if subjects is not None:
        now.arrival = None
        _deliver(context, now, job, subjects)
        arrival.release()
    return True


def _deliver(context: bpy.types.Context, now: Runtime, job: LiveJob, subjects: tuple[Refined, ...]) -> None:
    """All results into the scene, as one undo step. A target that is gone keeps its result on the backend."""
    _close(context, now, job)
    origin = scene_writing.Origin(job.job_id, job.recipe_json, _versions(now), _said_of_each(job))
    gone: list[TargetKey] = []
    for refined in subjects:
        key = next((key for key in job.targets if key.subject_id == refined.subject_id), None)
        if key is None:
            continue
        target = find_target(job.job_id, key)
        if target is None:
            gone.append(key)
        else:
            job.delivered.append(scene_writing.accept(context, target, refined, origin, key.how).name)
            note = result_notes.of_images(refined)
            job.notes += [f"{key.name}: {note}"] if note else []
    job.state = "finished"
    if gone:
        job.error = now.last_error = _gone_error(job, gone)
        job.targets = tuple(gone)
        now.closed.discard(job.job_id)
        remember(context.scene, job)
    if job.delivered:
        undo_steps.refine()


def _said_of_each(job: LiveJob) -> dict[str, str]:
    """What the prior makes of each subject's prompt, by subject, and what was changed on the way."""
    recipe = recipe_text.recipe_from_json(job.recipe_json)
    texts = {subject.subject_id: (subject.prompt, subject.negative_prompt) for subject in recipe.subjects}
    known = (one for one in job.readings if one.subject_id in texts)
    said = {one.subject_id: readings.sentence(one, recipe.prior, *texts[one.subject_id]) for one in known}
    return {subject_id: " ".join(filter(None, (said.get(subject_id), *job.notices))) for subject_id in texts}


def _gone_error(job: LiveJob, gone: list[TargetKey]) -> errors.MaquetteError:
    names = ", ".join(key.name for key in gone)
    return errors.MaquetteError(
        Code.TARGET_GONE,
        f"{names} was deleted while job {job.job_id[:8]} ran; its result waits on the backend.",
        "Bring the object back (Undo), then press Reconnect to receive it.",
    )


def _versions(now: Runtime) -> str:
    return f"{VERSIONS}, {now.welcome.backend}" if now.welcome else VERSIONS


# ---- finding things again -------------------------------------------------------------------------
def find_target(job_id: str, key: TargetKey) -> bpy.types.Object | None:
    """The target's object, renamed or not; none when it was deleted (it may linger, in no scene)."""
    fits = [thing for thing in bpy.data.objects if thing.session_uid == key.session_uid]
    if not fits:
        # after a file load every session uid is another; a copy made meanwhile has the same stamp
        stamped = [thing for thing in bpy.data.objects if _stamp_of(thing) == (job_id, key.subject_id)]
        fits = sorted(stamped, key=lambda thing: thing.name != key.name)
    return next((thing for thing in fits if thing.users_scene and thing.type == "MESH"), None)


def _stamp_of(thing: bpy.types.Object) -> tuple[str, str]:
    held = properties.notes(thing)
    return (held.job_id, held.subject_id) if held.role == "NONE" else ("", "")


def remember(scene: bpy.types.Scene, job: LiveJob) -> None:
    """Note a job on its scene and targets, so that a later Blender finds it again."""
    targets = [{"subject_id": key.subject_id, "name": key.name, "how": asdict(key.how)} for key in job.targets]
    record = {"job_id": job.job_id, "recipe": job.recipe_json, "targets": targets}
    properties.settings(scene).record = json.dumps(record)
    found = ((find_target(job.job_id, key), key.subject_id) for key in job.targets)
    scene_writing.stamp(((thing, subject_id) for thing, subject_id in found if thing is not None), job.job_id)


def recall(scene: bpy.types.Scene) -> LiveJob | None:
    """The job that a scene remembers."""
    text = properties.settings(scene).record
    if not text:
        return None
    record = json.loads(text)
    found = [_key_of(record["job_id"], item) for item in record["targets"]]
    return LiveJob(record["job_id"], record["recipe"], tuple(found), state="queued")


def _key_of(job_id: str, item: dict[str, Any]) -> TargetKey:
    # a file of an older version says nothing of the delivery
    how = {name: tuple(value) if isinstance(value, list) else value for name, value in item.get("how", {}).items()}
    key = TargetKey(item["subject_id"], item["name"], -1, Delivery(**how))
    thing = find_target(job_id, key)
    return key if thing is None else replace(key, session_uid=thing.session_uid)


def forget(job_id: str) -> None:
    """Remove a job's notes from scenes and targets."""
    for scene in bpy.data.scenes:
        settings = properties.settings(scene)
        if settings.record and json.loads(settings.record)["job_id"] == job_id:
            settings.property_unset("record")
    scene_writing.unstamp(job_id)


def resume(context: bpy.types.Context, now: Runtime) -> None:
    """Follow the job that this scene remembers, unless one is followed already."""
    if now.job is None:
        now.job = recall(context.scene)
        if now.job is not None:
            follow(now, now.job)


def follow(now: Runtime, job: LiveJob) -> None:
    """Hear of a job, or receive its results."""
    now.send(FollowJob(job.job_id))


@persistent
def _after_load(_file: object) -> None:
    """Another file: its own job, if it has one."""
    from . import pump

    now, context = pump.runtime(), bpy.context
    now.job = None
    job = recall(context.scene)
    _drop_stale(context, job.job_id if job else None)
    if job is not None:
        now.reconnect()  # the answer to it resumes the job


@persistent
def _after_undo(*_what: object) -> None:
    """Undo takes back the notes of a job that still runs, and brings back previews of one that does not."""
    from . import pump

    now, context = pump.runtime(), bpy.context
    _drop_stale(context, now.job.job_id if now.job else None)
    if now.job is not None:
        remember(context.scene, now.job)
    for job_id in now.closed:
        forget(job_id)


def _drop_stale(context: bpy.types.Context, job_id: str | None) -> None:
    for preview in scene_writing.previews():
        if properties.notes(preview).job_id != job_id:
            scene_writing.drop_preview(context, preview)


def _handlers() -> tuple[tuple[list[Any], Any], ...]:
    handlers = bpy.app.handlers
    return (
        (handlers.load_post, _after_load),
        (handlers.undo_post, _after_undo),
        (handlers.redo_post, _after_undo),
    )


def add_handlers() -> None:
    """Called by ``register``."""
    for handlers, handler in _handlers():
        handlers.append(handler)


def remove_handlers() -> None:
    """Called by ``unregister``."""
    for handlers, handler in _handlers():
        if handler in handlers:
            handlers.remove(handler)

"""Every message that travels, one frozen dataclass each, and one union per direction.

A request carries nothing to match its answer by: the envelope does (``codec.Envelope.seq`` and
``.re``). Arrays ride beside the control frame as raw payloads (``codec.Envelope.arrays``); a message
that carries some says which in its docstring. New fields must have defaults; a field's type never
changes; unknown fields are skipped by a receiver.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .recipe import ArrayRef, MeshRef, Recipe

JobState = Literal["queued", "running", "finished", "failed", "cancelled"]
Stage = Literal["waiting", "preparing", "geometry", "appearance", "baking", "done"]
Verdict = Literal["known", "near", "unknown"]


# ---- client → backend -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Hello:
    """First message on a connection."""

    major: int
    minor: int
    client: str
    """Free text for the log, e.g. ``maquette-blender 0.1.0``."""
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ping:
    nonce: int


@dataclass(frozen=True)
class OfferBlob:
    """Ask which parts of a blob the backend still lacks. Answered by ``BlobWanted``."""

    sha256: str
    size: int


@dataclass(frozen=True)
class PutChunk:
    """Part of an offered blob. One payload array ``chunk`` (u1 [n]). Answered by ``ChunkStored``."""

    sha256: str
    offset: int


@dataclass(frozen=True)
class GetChunk:
    """Ask for part of a result blob. Answered by ``Chunk``."""

    sha256: str
    offset: int
    length: int


@dataclass(frozen=True)
class SubmitJob:
    """Start a job, idempotently: same id and same recipe, same answer; same id and another recipe is
    ``conflict``. Answered by ``JobStatus`` once the journal has it; attaches as ``AttachJob`` does."""

    job_id: str
    """32 lower-case hex digits made by the client."""
    recipe: Recipe


@dataclass(frozen=True)
class AttachJob:
    """Receive a job's events on this connection from now on. Answered by ``JobStatus``. Previews need
    ``PreviewCredit`` besides, granted after the answer."""

    job_id: str


@dataclass(frozen=True)
class CancelJob:
    """End a job. With ``keep`` it stops early and delivers what it has. Answered by ``JobStatus``."""

    job_id: str
    keep: bool = False


@dataclass(frozen=True)
class ListJobs:
    """Ask for the client's own jobs. Answered by ``JobList``."""


@dataclass(frozen=True)
class PreviewCredit:
    """Allow ``count`` more previews of a job to be sent. Not answered."""

    job_id: str
    count: int


# ---- backend → client -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Welcome:
    """Answer to ``Hello``."""

    major: int
    minor: int
    backend: str
    priors: tuple[str, ...]
    device: str
    """What computes, for people: ``CPU, 2 cores`` or ``NVIDIA …``."""
    capabilities: tuple[str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    controls: tuple[str, ...] = ()
    """ControlNets that a recipe may name (``Recipe.controls``)."""


@dataclass(frozen=True)
class Pong:
    nonce: int


@dataclass(frozen=True)
class BlobWanted:
    """Byte ranges still missing, as (start, end) pairs; empty when the blob is complete."""

    sha256: str
    missing: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ChunkStored:
    """The chunk was taken in; ``complete`` once the whole blob is kept and its hash was checked."""

    sha256: str
    offset: int
    complete: bool


@dataclass(frozen=True)
class Chunk:
    """Part of a blob. One payload array ``chunk`` (u1 [n])."""

    sha256: str
    offset: int
    size: int
    """Size of the whole blob."""


@dataclass(frozen=True)
class SurfaceOrigin:
    """The point of the sent mesh that each vertex and each triangle of a new one corresponds to: the nearest that faces
    the same way. With it a client carries over whatever it keeps on its own mesh."""

    vertex_triangles: ArrayRef
    """i4 [V], triangles of the sent mesh."""
    vertex_weights: ArrayRef
    """f4 [V, 3], barycentric in those, each row ≥ 0 with sum 1."""
    face_triangles: ArrayRef
    """i4 [F], for the middle of each new triangle."""


@dataclass(frozen=True)
class SubjectResult:
    """One refined subject. ``mesh`` is in the object space of the subject that was sent."""

    subject_id: str
    mesh: MeshRef
    same_topology: bool
    """True when vertices and triangles correspond one to one to those that were sent."""
    base_color: ArrayRef | None = None
    """u1 [height, width, 3], sRGB, row 0 at the bottom (Blender's order)."""
    origin: SurfaceOrigin | None = None
    """Where the new surface came from, unless ``same_topology``."""
    roughness: ArrayRef | None = None
    """u1 [height, width], linear, as ``metallic``; of a ``pbr`` subject (since 1.3)."""
    metallic: ArrayRef | None = None
    normal: ArrayRef | None = None
    """u1 [height, width, 3], tangent space, OpenGL."""
    seen: float = 1.0
    """Share of the surface's texels that some view saw, 0..1; the others were filled from those around them (since 1.3)."""
    upscaled_by: str = ""
    """What enlarged the base colour, where ``Subject.upscale`` asked for it: ``real_esrgan`` or ``lanczos`` (since 1.4)."""


@dataclass(frozen=True)
class CutText:
    """A subject's text of which one prior reads less than the whole (since 1.6)."""

    prior: str
    """Its name in the recipe."""
    negative: bool
    """Whether it is the negative prompt."""
    chars_read: int


@dataclass(frozen=True)
class PromptReading:
    """What the prior makes of one subject's prompt. It is told, and the job goes on whatever it says."""

    subject_id: str
    chars_read: int
    """Characters of the prompt that the prior read; the rest was cut, for its text encoder takes no more."""
    verdict: Verdict | None = None
    """How well the prior knows what the prompt asks for; none where the prior cannot tell."""
    nearest: str = ""
    """The thing it knows that is nearest; empty where it could make nothing of the words."""
    similarity: float = 0.0
    """To the nearest thing: 0 has nothing in common with it, 1 is the same."""
    cuts: tuple[CutText, ...] = ()
    """The negative prompt, and both texts for every further prior, where they were cut (since 1.6)."""


@dataclass(frozen=True)
class JobStatus:
    """A job's whole state; sent as an answer and whenever the state changes."""

    job_id: str
    state: JobState
    queue_position: int = 0
    """Jobs ahead of this one; 0 when running or ended."""
    results: tuple[SubjectResult, ...] = ()
    error_code: str = ""
    error_message: str = ""
    error_remedy: str = ""
    readings: tuple[PromptReading, ...] = ()
    """Of each subject, once the prior is loaded (since 1.1)."""
    notices: tuple[str, ...] = ()
    """What the backend changed so that the job could go on, such as less memory for more time: sentences, oldest
    first (since 1.6)."""


@dataclass(frozen=True)
class JobProgress:
    """Lossy, newest wins."""

    job_id: str
    stage: Stage
    subject_id: str
    step: int
    """Steps done over all stages and subjects."""
    steps: int
    eta_secs: float
    loss: float


@dataclass(frozen=True)
class Preview:
    """Lossy, newest wins, costs one credit. Payload arrays, object space: ``positions`` f4 [V,3];
    ``triangles`` i4 [F,3], which may be ``kept`` while ``topology`` stays;
    ``colors`` u1 [V,3] sRGB; or ``texture`` u1 [H,W,3] with ``corner_uvs`` f4 [F,3,2]."""

    job_id: str
    subject_id: str
    stage: Stage
    step: int
    topology: int
    """Changes whenever vertex count or triangles do."""
    kept: tuple[str, ...] = ()
    """Arrays left out because they equal those of the job's last preview on this connection."""


@dataclass(frozen=True)
class JobSummary:
    job_id: str
    state: JobState
    subjects: tuple[str, ...]
    """The subjects' names."""
    created_unix_secs: float


@dataclass(frozen=True)
class JobList:
    jobs: tuple[JobSummary, ...]


@dataclass(frozen=True)
class Error:
    """A request was refused, and nothing was changed by it."""

    code: str
    message: str
    remedy: str = ""


ClientMessage = (
    Hello | Ping | OfferBlob | PutChunk | GetChunk | SubmitJob | AttachJob | CancelJob | ListJobs | PreviewCredit
)
BackendMessage = Welcome | Pong | BlobWanted | ChunkStored | Chunk | JobStatus | JobProgress | Preview | JobList | Error

"""What can go wrong, said so that a person can act on it.

Every error that reaches an artist has a stable ``code``, a ``message`` that names the thing and the
value, and a ``remedy``: what to do about it. The same three travel on the wire (``messages.Error``).
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Stable names of errors; a client may branch on these, never on the message."""

    # the connection
    MALFORMED = "malformed"
    """A frame or message breaks the format or a bound."""
    VERSION_MISMATCH = "version_mismatch"
    """Client and backend speak different major versions."""
    NOT_AUTHORISED = "not_authorised"
    """The key is not enrolled, or the job or blob belongs to another key."""
    NO_HELLO = "no_hello"
    """A message came before ``Hello``: the backend has restarted, so connect anew."""
    UNREACHABLE = "unreachable"
    """No backend answers (client side only)."""
    TIMED_OUT = "timed_out"
    """A request was not answered in time (client side only)."""
    # blobs
    BLOB_MISSING = "blob_missing"
    """A referenced blob has not been uploaded, or has been collected."""
    BLOB_CORRUPT = "blob_corrupt"
    """The bytes do not have the hash they were announced with."""
    QUOTA_EXCEEDED = "quota_exceeded"
    """The client's share of the blob store is full."""
    DISK_FULL = "disk_full"
    """The backend's disk is full."""
    # jobs
    CONFLICT = "conflict"
    """The same job id was submitted with another recipe."""
    UNKNOWN_JOB = "unknown_job"
    WORKER_LOST = "worker_lost"
    """The worker died twice on this job (a poison job), and it was given up."""
    OUT_OF_MEMORY = "out_of_memory"
    INTERNAL = "internal"
    """A defect of ours; the message carries what is known."""
    # recipes and meshes
    INVALID_RECIPE = "invalid_recipe"
    UNKNOWN_PRIOR = "unknown_prior"
    NO_TARGET = "no_target"
    EMPTY_PROMPT = "empty_prompt"
    EMPTY_MESH = "empty_mesh"
    NO_FACES = "no_faces"
    NOT_FINITE = "not_finite"
    ZERO_SIZE = "zero_size"
    TOO_MANY_TRIANGLES = "too_many_triangles"
    BAD_INDEX = "bad_index"
    NO_CAMERA = "no_camera"
    NO_CAMERA_SEES = "no_camera_sees"
    # the scene (add-on side only)
    NOT_EDITABLE = "not_editable"
    """A linked library object, or one whose data is shared and not editable."""
    TARGET_GONE = "target_gone"
    """A target was deleted while its job ran."""


class MaquetteError(Exception):
    """An error with a code, a message that names thing and value, and a remedy."""

    def __init__(self, code: ErrorCode, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class ProtocolError(MaquetteError):
    """Bytes or messages that break the protocol; the only error decoding may raise."""

    def __init__(self, message: str, remedy: str = "", code: ErrorCode = ErrorCode.MALFORMED) -> None:
        super().__init__(code, message, remedy)
        self.seq: int | None = None
        """The ``seq`` of the message at fault, where it could be read: the refusal answers it."""

"""What a running job tells the outside, and what it asks of it. The worker implements these over the
wire, ``python -m maquette_backend refine`` over the disk, tests in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from maquette_protocol.messages import PromptReading, Stage
from maquette_protocol.recipe import ArrayRef
from numpy.typing import NDArray

Wish = Literal["go_on", "stop_and_keep", "cancel"]


@dataclass(frozen=True)
class Progress:
    stage: Stage
    subject_id: str
    step: int
    steps: int
    eta_secs: float
    loss: float


@dataclass(frozen=True)
class PreviewFrame:
    """A lossy picture of a subject in the making, object space."""

    subject_id: str
    stage: Stage
    step: int
    topology: int
    """Changes whenever the triangles do."""
    positions: NDArray[np.float32]  # [V,3]
    triangles: NDArray[np.int32]  # [F,3]
    colors: NDArray[np.uint8] | None = None  # [V,3] sRGB
    corner_uvs: NDArray[np.float32] | None = None  # [F,3,2]
    texture: NDArray[np.uint8] | None = None  # [H,W,3] sRGB, row 0 at the bottom


@dataclass(frozen=True)
class Origin:
    """Where a new surface came from: what ``messages.SurfaceOrigin`` names."""

    vertex_triangles: NDArray[np.int32]  # [V], of the mesh that was sent
    vertex_weights: NDArray[np.float32]  # [V,3], barycentric
    face_triangles: NDArray[np.int32]  # [F]


@dataclass(frozen=True)
class RefinedSubject:
    """A finished subject, object space."""

    subject_id: str
    same_topology: bool
    positions: NDArray[np.float32]  # [V,3]
    triangles: NDArray[np.int32]  # [F,3]
    corner_uvs: NDArray[np.float32] | None  # [F,3,2]
    base_color: NDArray[np.uint8] | None  # [H,W,3] sRGB, row 0 at the bottom
    origin: Origin | None = None
    """Of a new topology."""
    roughness: NDArray[np.uint8] | None = None  # [H,W], linear
    metallic: NDArray[np.uint8] | None = None  # [H,W], linear
    normal: NDArray[np.uint8] | None = None  # [H,W,3], tangent space, OpenGL
    seen: float = 1.0
    """Share of the surface's texels that some view saw."""
    upscaled_by: str = ""
    """What enlarged the base colour, if anything did: ``real_esrgan`` or ``lanczos``."""


class JobEvents(Protocol):
    """Receives what a job reports. Calls must return quickly; they never block on a client."""

    def prompts_read(self, readings: tuple[PromptReading, ...]) -> None:
        """What the prior makes of the prompts; told once, as soon as it is loaded, where it makes anything of them."""
        ...

    def notice(self, sentence: str) -> None:
        """What was changed so that the job could go on: less memory for more time, a wider type. For the artist."""
        ...

    def progress(self, progress: Progress) -> None: ...
    def preview_wanted(self) -> bool:
        """False while nobody would see a preview: then none is computed."""
        ...

    def preview(self, frame: PreviewFrame) -> None: ...
    def finished(self, subject: RefinedSubject) -> None: ...
    def wish(self) -> Wish:
        """Asked every step."""
        ...


class ArrayReader(Protocol):
    def __call__(self, ref: ArrayRef) -> NDArray[np.generic]:
        """The array behind a reference, its hash, type and shape checked."""
        ...


class CheckpointStore(Protocol):
    """Holds a job's newest checkpoint: named tensors, atomically replaced (safetensors)."""

    def save(self, arrays: Mapping[str, NDArray[np.generic]], about: Mapping[str, str]) -> None: ...
    def load(self) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]] | None: ...

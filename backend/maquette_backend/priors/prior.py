"""What a prior is: a pretrained model that scores images. One interface for the starter and for diffusers models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import torch
from maquette_protocol.messages import Verdict
from torch import Tensor

Modality = Literal["color", "normal", "joint", "surface"]
"""What a prior is asked about: a colour picture; a picture of camera-space normals; colour, normals and coverage
together [B,7,H,W]; or the colour of such a picture whose normals and coverage are given."""

COLOR, NORMAL, COVERAGE = slice(0, 3), slice(3, 6), slice(6, 7)
"""Channels of the pictures of ``joint`` and ``surface``."""


@dataclass(frozen=True)
class Views:
    """Where each image of a batch was seen from, relative to the subject. All tensors are [views]."""

    azimuth: Tensor
    """Radians, counter-clockwise seen from above; 0 looks at the subject's front (its −Y side)."""
    elevation: Tensor
    """Radians above the horizon."""
    distance: Tensor
    """Camera distance with the subject's longest side scaled to 1."""
    fov_y: Tensor
    """Vertical field of view, radians."""

    def to(self, device: torch.device) -> Views:
        """The same views on another device."""
        return Views(*(part.to(device) for part in (self.azimuth, self.elevation, self.distance, self.fov_y)))


@dataclass(frozen=True)
class Settings:
    """What a prior recommends for its own use; a recipe may override the scales."""

    geometry_scale: float
    appearance_scale: float
    geometry_time_start: tuple[float, float]
    """Range of diffusion times, fractions of the schedule, when geometry refinement starts."""
    geometry_time_end: tuple[float, float]
    appearance_time_start: tuple[float, float]
    appearance_time_end: tuple[float, float]
    sizes: tuple[int, ...]
    """Image sizes it accepts, pixels."""
    modalities: tuple[Modality, ...]
    """With ``joint`` among them geometry is refined by it, else by ``color`` and, where there is one, ``normal``.
    With ``surface`` appearance is refined by it, else by ``color``."""
    camera_conditioned: bool
    """False: the caller adds "front / side / back view" to the prompt."""
    background_margin: float = 0.0
    """Clean encodings this near 0 mean background to this prior. 0 where it knows no fixed background, and where
    ``surface`` tells it what is covered."""
    denoised_bound: float | tuple[float, ...] = 0.0
    """Largest magnitude of a sensible clean encoding, for all channels or for each; guided estimates are clamped to
    it. 0 for none."""
    geometry_weighting: Literal["method", "clean_distance"] = "method"
    """What a diffusion time counts for while geometry is refined: as the method's paper has it, or alike in distances of clean
    pictures, so that noisy pictures, which ask the words, count as much as clear ones, which are taken as they are."""
    views_together: int = 1
    """So many samples in a row must be views of one subject at one diffusion time: it looks at them together."""
    material_scale: float | None = None
    """In place of ``appearance_scale`` for full materials; None: the same. Highlights and light that varies are more than a prior
    of matt pictures expects: it answers with colours that are stronger than its own."""
    overall_color_times: tuple[float, float] | None = None
    """Diffusion times while only the subject's overall colour is learned, on a given surface; None: as for the rest. A
    prior that is told the surface reads the colour off all but the noisiest pictures, and only then asks the words."""
    overall_color_emphasis: float = 3.0
    """What the guidance scale is multiplied by meanwhile: three numbers can be pushed hard without becoming blotchy."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where its tensors live, and so where a job computes."""


@dataclass(frozen=True)
class Condition:
    """An encoded text, ready to be used many times. ``data`` is the prior's own affair."""

    data: Tensor


@dataclass(frozen=True)
class Familiarity:
    """How well a prior knows what a text asks for."""

    nearest: str
    """The nearest thing it knows; empty where it can make nothing of the words."""
    similarity: float
    """To that thing, 0..1."""
    verdict: Verdict


class Prior(Protocol):
    """A pretrained diffusion model over images in −1..1, background mid grey (0), row 0 at the top.

    Pictures of ``joint`` and ``surface`` have seven channels: colour, camera-space normals, and coverage, −1 on the
    background and 1 on the subject.
    """

    @property
    def settings(self) -> Settings: ...

    @property
    def identity(self) -> str:
        """Name and content hash, stored with every result."""
        ...

    def encode_text(self, texts: list[str]) -> Condition:
        """One row of ``data`` per text; the empty text is the unconditional one."""
        ...

    def encode_image(self, images: Tensor) -> Tensor:
        """Images [B,3,H,W] or pictures [B,7,H,W] in −1..1 → the space that is noised (pixels or latents), differentiable."""
        ...

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Times [B] in 0..1 → signal and noise scales [B] with alpha² + sigma² = 1 (alpha² = ᾱ)."""
        ...

    def add_noise(self, encoded: Tensor, noise: Tensor, time: Tensor, modality: Modality) -> Tensor:
        """What the model gets to see of clean encodings [B,…] at times [B]: alpha·encoded + sigma·noise.

        Under ``surface`` normals and coverage stay as they are.
        """
        ...

    def predict_noise(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        """ε̂ for noisy encodings [B,…] at times [B] under conditions [B,…]; ``views`` None drops the camera."""
        ...

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        """x̂₀ = (noisy − sigma ε̂) / alpha, computed without the cancellation that formula has near time 1.

        Under ``surface`` normals and coverage come back as they were given.
        """
        ...

    def predict_told_and_untold(
        self, noisy: Tensor, time: Tensor, text: Tensor, negative: Tensor, views: Views | None, modality: Modality
    ) -> tuple[Tensor, Tensor]:
        """``predict_denoised`` under ``text`` and ``views``, and under ``negative`` with no camera: what classifier-free
        guidance needs, in one evaluation where that is quicker."""
        ...


@runtime_checkable
class HasLatents(Protocol):
    """What a prior may have besides: what it encodes pictures as is smaller than they are. Check with ``isinstance``."""

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        ...


@runtime_checkable
class ReadsPrompts(Protocol):
    """What a prior may have besides: it can say what it makes of a text. Check with ``isinstance``."""

    def familiarity(self, text: str) -> Familiarity | None:
        """How well it knows what ``text`` asks for; None where it cannot tell, as of most models."""
        ...

    def chars_read(self, text: str) -> int:
        """Characters of ``text``, without blanks around it, that its encoder reads; the rest has no effect."""
        ...

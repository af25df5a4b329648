"""A diffusers model behind the interface that every prior shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from maquette_backend.priors.control import ControlNet, Hint
from maquette_backend.priors.diffusers.camera import camera_rows, untold
from maquette_backend.priors.diffusers.control import LoadedControl
from maquette_backend.priors.diffusers.denoisers import Denoiser, Heard, UnetDenoiser
from maquette_backend.priors.diffusers.schedules import NoiseSchedule
from maquette_backend.priors.notices import GivesWay, Notices
from maquette_backend.priors.prior import Condition, Familiarity, Modality, Settings, Views


class ReadsTexts(Protocol):
    """What encodes prompts: ``texts.Texts``."""

    def encode(self, texts: Sequence[str]) -> Tensor: ...
    def chars_read(self, text: str) -> int: ...


class EncodesPictures(Protocol):
    """What makes latents of pictures: ``pictures.Pictures``."""

    @property
    def shape(self) -> tuple[int, int, int]: ...
    def encode(self, images: Tensor) -> Tensor: ...
    def decode(self, latents: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Parts:
    """What a prior is made of."""

    schedule: NoiseSchedule
    texts: ReadsTexts
    pictures: EncodesPictures
    denoiser: Denoiser
    samples: int = 1 << 20
    """The denoiser looks at this many at a time."""
    notices: Notices = field(default_factory=Notices)
    """What the parts have to tell."""


class DiffusersPrior:
    """A latent diffusion model. Implements ``priors.prior.Prior``, ``ReadsPrompts``, ``HasLatents``, ``HearsControls``,
    ``GivesNotice`` and ``GivesWay``.

    Colour and normals both go through the VAE as ordinary pictures (Fantasia3D, Chen et al. 2023).
    """

    def __init__(self, parts: Parts, settings: Settings, identity: str) -> None:
        self.parts = parts
        self._settings = settings
        self._identity = identity
        self._heard: tuple[Heard, ...] = ()
        self._most = 0
        """Samples that it was shown at once."""

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def identity(self) -> str:
        """The registered name and 16 hex digits over the hashes of all its files."""
        return self._identity

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what a picture is encoded as."""
        return self.parts.pictures.shape

    @property
    def notices(self) -> Notices:
        """What it tells of itself."""
        return self.parts.notices

    @property
    def can_give_way(self) -> bool:
        """Whether it can do with less memory."""
        return bool(self._yielding()) or min(self.parts.samples, self._most) > self._settings.views_together

    def give_way(self) -> None:
        """What costs the least time first, as in ``memory.plan_memory``: the text encoders' place, whole batches in the
        VAE, and at last samples together in the network."""
        yielding = self._yielding()
        if yielding:
            yielding[0].give_way()
        else:
            self._look_at_fewer(self._most)

    def _yielding(self) -> list[GivesWay]:
        parts = (getattr(self.parts.texts, "encoders", None), self.parts.pictures)
        return [part for part in parts if isinstance(part, GivesWay) and part.can_give_way]

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """[texts,rows,width]; the empty text is the unconditional one. Remembered, so all of a job's at once is best."""
        return Condition(self.parts.texts.encode(texts))

    def familiarity(self, text: str) -> Familiarity | None:
        """None: a model of everything has no list of what it knows."""
        return None

    def chars_read(self, text: str) -> int:
        """Characters of ``text``, without blanks around it, that fit into its encoder's tokens."""
        return self.parts.texts.chars_read(text)

    def encode_image(self, images: Tensor) -> Tensor:
        """Images [B,3,H,W] in −1..1 of a size it accepts → latents, differentiable. ValueError on other channels."""
        if images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"a diffusers prior takes pictures [B,3,H,W], not {list(images.shape)}")
        return self.parts.pictures.encode(images)

    def decode_image(self, encoded: Tensor) -> Tensor:
        """Latents → pictures, for looking at."""
        return self.parts.pictures.decode(encoded)

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Times [B] in 0..1 → signal and noise scales [B]; see ``schedules`` for flow matching."""
        return self.parts.schedule.alpha_sigma(time)

    def add_noise(self, encoded: Tensor, noise: Tensor, time: Tensor, modality: Modality) -> Tensor:
        """alpha·encoded + sigma·noise, the same for both modalities."""
        alpha, sigma = (scale.to(encoded).view(-1, 1, 1, 1) for scale in self.alpha_sigma(time))
        return alpha * encoded + sigma * noise

    def predict_noise(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        """ε̂ like ``noisy``."""
        output = self._output(noisy, time, text, self._cameras(views, noisy))
        return self.parts.schedule.noise(output, noisy, time)

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        """x̂₀ like ``noisy``."""
        output = self._output(noisy, time, text, self._cameras(views, noisy))
        return self.parts.schedule.clean(output, noisy, time)

    def predict_told_and_untold(
        self, noisy: Tensor, time: Tensor, text: Tensor, negative: Tensor, views: Views | None, modality: Modality
    ) -> tuple[Tensor, Tensor]:
        """Both of guidance's estimates from one batch.

        A multi-view model is told the cameras in both: it was trained to drop the text and keep them, and dropped
        cameras only together with its look across views.
        """
        twice, times, words = (torch.cat(pair) for pair in ((noisy, noisy), (time, time), (text, negative)))
        cameras = self._cameras(views, noisy)
        both = None if cameras is None else torch.cat([cameras, cameras])
        clean = self.parts.schedule.clean(self._output(twice, times, words, both), twice, times)
        told, untold = clean.chunk(2)
        return told, untold

    def check_control(self, control: ControlNet) -> None:
        """Raises ValueError if it was made for another network, or this one hears none."""
        if not isinstance(self.parts.denoiser, UnetDenoiser) or not isinstance(control, LoadedControl):
            raise ValueError("only Stable Diffusion 1, 2 and XL, and multi-view models, hear ControlNets")
        control.check_fits(self.parts.denoiser.network)

    @contextmanager
    def hearing(self, hints: Sequence[Hint]) -> Iterator[None]:
        """Within it every evaluation hears ``hints``, whose pictures are of all of a step's views."""
        self._heard = tuple(self._prepared(hint) for hint in hints)
        try:
            yield
        finally:
            self._heard = ()

    @contextmanager
    def hearing_some(self, rows: slice) -> Iterator[None]:
        """Within ``hearing``: evaluations are of these of the views."""
        whole = self._heard
        self._heard = tuple(replace(hint, picture=hint.picture[rows]) for hint in whole)
        try:
            yield
        finally:
            self._heard = whole

    def _prepared(self, hint: Hint) -> Heard:
        """At the size that its ControlNet takes."""
        assert isinstance(hint.control, LoadedControl)
        side = hint.control.picture_side(self.latent_shape[1])
        picture = interpolate(
            hint.picture, (side, side), mode="bilinear", antialias=side < hint.picture.shape[-1], align_corners=False
        )
        return Heard(hint.control, picture, hint.weight)

    def _cameras(self, views: Views | None, like: Tensor) -> Tensor | None:
        if not self._settings.camera_conditioned:
            return None
        return untold(len(like), like.device) if views is None else camera_rows(views).to(like)

    def _output(self, noisy: Tensor, time: Tensor, text: Tensor, cameras: Tensor | None) -> Tensor:
        """The network's own output, of as many samples at a time as memory allows; where it did not, of fewer from now on."""
        self._most = max(self._most, len(noisy))
        while True:
            try:
                return self._in_parts(noisy, time, text, cameras)
            except torch.OutOfMemoryError:
                if min(self.parts.samples, len(noisy)) <= self._settings.views_together:
                    raise
            self._look_at_fewer(len(noisy))  # not in the handler: what was computed is alive there

    def _look_at_fewer(self, samples: int) -> None:
        """Half as many at a time as of ``samples``."""
        together = self._settings.views_together
        fewer = max(together, min(self.parts.samples, samples) // 2 // together * together)
        name = self._identity.partition(":")[0]
        self.notices.say(f"Out of memory: the network of {name} looks at {fewer} samples at a time now.")
        self.parts = replace(self.parts, samples=fewer)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _in_parts(self, noisy: Tensor, time: Tensor, text: Tensor, cameras: Tensor | None) -> Tensor:
        schedule = self.parts.schedule
        shown, told = schedule.network_input(noisy, time), schedule.network_time(time)
        count = max(self.parts.samples, 1)
        hints = [repeated(hint, len(noisy)) for hint in self._heard]
        if count >= len(noisy):
            return self.parts.denoiser(shown, told, text, cameras, hints)
        rows = [None] * -(-len(noisy) // count) if cameras is None else cameras.split(count)
        pieces = zip(shown.split(count), told.split(count), text.split(count), rows, strict=True)
        return torch.cat(
            [
                self.parts.denoiser(*piece, [part_of(hint, number * count, count) for hint in hints])
                for number, piece in enumerate(pieces)
            ]
        )


def repeated(hint: Heard, samples: int) -> Heard:
    """For a batch of so many samples, a multiple of the views: those come in turn, as for the two halves of guidance."""
    times, rest = divmod(samples, len(hint.picture))
    if rest:
        raise ValueError(f"{samples} samples are no multiple of the {len(hint.picture)} views that are shown")
    return replace(hint, picture=hint.picture.repeat(times, 1, 1, 1))


def part_of(hint: Heard, first: int, count: int) -> Heard:
    """For a part of a batch."""
    return replace(hint, picture=hint.picture[first : first + count])

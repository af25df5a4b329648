"""The starter prior behind the interface that every prior shares."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette_backend.priors.cores import share_cores
from maquette_backend.priors.prior import Condition, Familiarity, Modality, Settings, Views
from maquette_backend.priors.starter import network, picture, schedule
from maquette_backend.priors.starter.conditioning import camera_features, no_camera
from maquette_backend.priors.starter.familiarity import Bounds, KnownThings, load_known
from maquette_backend.priors.starter.folder import SHIPPED, LoadedFolder, load_folder
from maquette_backend.priors.starter.views_together import VIEWS, show_together

_FAMILIAR = Bounds(near=0.60, known=0.70)
"""Set on half of the phrases in ``tests/backend/priors/familiarity_phrases.py``, measured on the other half."""


class StarterPrior:
    """A small pixel diffusion model of home furnishings. Implements ``priors.prior.Prior`` and ``HasDenoiser``.

    It sees colour, normals and coverage of a view as one picture of seven channels (``picture.join``). Pixels are
    its latents: ``encode_image`` only scales.
    """

    def __init__(
        self, folder: LoadedFolder, device: torch.device, known: Sequence[str] = (), views: int = 1
    ) -> None:
        """``views`` samples in a row are of one subject and hear each other; the folder's network is set to that."""
        show_together(folder.network, views)
        self._network = folder.network
        self._words = folder.words
        self._known = KnownThings(known, folder.words.text_vectors, _FAMILIAR) if known else None
        self._device = device
        self._halves = _halves() if device.type == "cpu" else None
        self._identity = f"starter:{folder.sha256[:16]}"
        self._settings = Settings(
            geometry_scale=7.0,
            appearance_scale=3.0,
            material_scale=1.5,  # six pieces as they are shown: ΔE 13 to its own samples, 18 at 3
            geometry_time_start=(0.7, 0.97),
            geometry_time_end=(0.3, 0.7),
            geometry_weighting="clean_distance",
            appearance_time_start=(0.5, 0.92),
            appearance_time_end=(0.2, 0.5),
            overall_color_times=(0.93, 0.99),
            overall_color_emphasis=0.6,
            sizes=(picture.SIZE,),
            modalities=("joint", "surface"),
            camera_conditioned=True,
            views_together=views,
            denoised_bound=tuple(picture.encode(torch.ones(1, picture.CHANNELS, 1, 1)).flatten().tolist()),
            device=device,
        )

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def identity(self) -> str:
        """``starter:`` and the first 16 hex digits of the weights' SHA-256."""
        return self._identity

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """Token vectors [texts,32,128]; the empty text is the unconditional one. Cached per text."""
        return Condition(self._words.encode(texts))

    def familiarity(self, text: str) -> Familiarity | None:
        """How well it knows what ``text`` asks for; None if its folder names nothing that it knows."""
        return None if self._known is None else self._known.judge(text)

    def chars_read(self, text: str) -> int:
        """Characters of ``text``, without blanks around it, that fit into the 32 tokens."""
        return self._words.chars_read(text)

    def encode_image(self, images: Tensor) -> Tensor:
        """Pictures [B,7,64,64] in −1..1 → scaled, same shape, differentiable. ValueError on other sizes."""
        expected = (picture.CHANNELS, picture.SIZE, picture.SIZE)
        if images.dim() != 4 or tuple(images.shape[1:]) != expected:
            raise ValueError(
                f"the starter prior takes pictures [B,{','.join(map(str, expected))}], not {list(images.shape)}"
            )
        return picture.encode(images)

    def decode_image(self, encoded: Tensor) -> Tensor:
        """The inverse of ``encode_image``, not clamped."""
        return picture.decode(encoded)

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Times [B] in 0..1 → signal and noise scales [B]."""
        return schedule.alpha_sigma(time)

    def add_noise(self, encoded: Tensor, noise: Tensor, time: Tensor, modality: Modality) -> Tensor:
        """What the network gets to see of encodings [B,7,H,W]: under ``surface`` the geometry stays clean."""
        noisy = schedule.add_noise(encoded, noise, time.view(-1, 1, 1, 1))
        if modality == "surface":
            noisy[:, picture.GEOMETRY] = encoded[:, picture.GEOMETRY]
        return noisy

    def predict_noise(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        """ε̂ [B,7,H,W] for noisy encodings at times [B], token vectors [B,32,128], B views or None."""
        v, times = self._velocity(noisy, time, text, self._camera(views, len(noisy)), modality)
        return schedule.noise_from_velocity(v, noisy, times)

    def predict_denoised(
        self, noisy: Tensor, time: Tensor, text: Tensor, views: Views | None, modality: Modality
    ) -> Tensor:
        """x̂₀ [B,7,H,W] in the encoded space; unlike (z − σ·ε̂)/α it loses no precision near time 1.

        Under ``surface`` the geometry is returned as it was given.
        """
        return self._denoised(noisy, time, text, self._camera(views, len(noisy)), modality)

    def predict_told_and_untold(
        self, noisy: Tensor, time: Tensor, text: Tensor, negative: Tensor, views: Views | None, modality: Modality
    ) -> tuple[Tensor, Tensor]:
        """Both of guidance's estimates, without a tape: one batch on a GPU, side by side on a CPU."""
        camera, no_view = self._camera(views, len(noisy)), self._camera(None, len(noisy))
        if self._halves is not None:
            denoised = torch.no_grad()(self._denoised)  # a thread's own switch
            untold = self._halves.submit(denoised, noisy, time, negative, no_view, modality)
            told = self._halves.submit(denoised, noisy, time, text, camera, modality)
            return told.result(), untold.result()
        twice, times, words = (torch.cat(pair) for pair in ((noisy, noisy), (time, time), (text, negative)))
        told, untold = self._denoised(twice, times, words, torch.cat([camera, no_view]), modality).chunk(2)
        return told, untold

    def denoiser(self) -> nn.Module:
        """The U-Net itself; what is added to it holds for every job in this process until it is taken away."""
        return self._network

    def object_tokens(self, text: Tensor) -> Tensor:
        """Token vectors [B,32,128] → weights [B,32]: 1 for the end mark."""
        return F.one_hot(self._words.ends(text), text.shape[1]).to(text)

    def _camera(self, views: Views | None, count: int) -> Tensor:
        return no_camera(count, self._device) if views is None else camera_features(views)

    def _denoised(self, noisy: Tensor, time: Tensor, text: Tensor, camera: Tensor, modality: Modality) -> Tensor:
        v, times = self._velocity(noisy, time, text, camera, modality)
        clean = schedule.clean_from_velocity(v, noisy, times)
        if modality == "surface":
            clean[:, picture.GEOMETRY] = noisy[:, picture.GEOMETRY]
        return clean

    def _velocity(
        self, noisy: Tensor, time: Tensor, text: Tensor, camera: Tensor, modality: Modality
    ) -> tuple[Tensor, Tensor]:
        """v̂, and the times [B,7,1,1] of every channel."""
        geometry_time = torch.zeros_like(time) if modality == "surface" else time
        told = network.Condition(time, geometry_time, text, camera)
        v = network.predict_velocity(self._network, noisy, told)
        return v, picture.channel_times(time, geometry_time)


def _halves() -> ThreadPoolExecutor:
    """Two threads with half of the cores each. Layers this small end in microseconds: one evaluation on both cores
    mostly waits at its own barriers, two evaluations on one core each never do (115 against 70 ms for 2 × 4 views)."""
    return ThreadPoolExecutor(2, "prior", initializer=share_cores)


def load_starter(device: torch.device, folder: Path = SHIPPED, together: bool = False) -> StarterPrior:
    """The starter prior in ``folder``; ``together``: each four samples in a row are views of one subject.

    Raises MaquetteError INTERNAL if it can't be used.
    """
    return StarterPrior(load_folder(folder, device), device, load_known(folder), VIEWS if together else 1)

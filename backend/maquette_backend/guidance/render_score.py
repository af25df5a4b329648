"""What the renders look like at present, learned by low-rank additions to the prior's own network.

ProlificDreamer (Wang et al. 2023): rank 4 on every attention layer, the camera's pose through an MLP on
the time embedding, dropped at one step in ten; one step of its own for each of the subject's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.guidance.adapted import PROJECTIONS, Adaptation, Hook, Layer, Projection, attention_layers
from maquette_backend.guidance.distiller import Arrays
from maquette_backend.guidance.guided import Question
from maquette_backend.guidance.optimiser_arrays import restore, to_arrays
from maquette_backend.guidance.velocity_loss import velocity_loss
from maquette_backend.priors.denoiser import HasDenoiser
from maquette_backend.priors.prior import Views

POSE_SIZE = 16
RANK = 4
_PURPOSE = 2


@dataclass(frozen=True)
class RenderScoreSettings:
    """How it learns; ProlificDreamer's values."""

    rate: float = 1e-4
    drop: float = 0.1
    """Share of steps without the camera."""
    times: tuple[float, float] = (0.02, 1.0)
    clip: float = 5.0
    seed: int = 0


class PosedLora(nn.Module):
    """Static low-rank additions, and the MLP for the pose. Its last layer and the up halves start at 0: the network is
    what it was, and so at scale 1 nothing pulls to begin with."""

    def __init__(self, sizes: Mapping[str, tuple[int, int]], embedding_size: int, seed: int) -> None:
        """``sizes``: name of a projection → d_in, d_out."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.down = nn.ParameterDict(
            {name: torch.randn(inputs, RANK, generator=generator) / RANK for name, (inputs, _) in sizes.items()}
        )
        self.up = nn.ParameterDict({name: torch.zeros(outputs, RANK) for name, (_, outputs) in sizes.items()})
        self.pose_in = nn.Parameter(
            torch.randn(POSE_SIZE, embedding_size, generator=generator) / math.sqrt(POSE_SIZE)
        )
        self.pose_out = nn.Parameter(torch.zeros(embedding_size, embedding_size))

    def pose(self, poses: Tensor) -> Tensor:
        """[B,16] → [B,embedding]"""
        return nn.functional.silu(poses.to(self.pose_in) @ self.pose_in) @ self.pose_out


class LoraRenderScore:
    """A ``vsd.RenderScore`` inside the prior's network."""

    def __init__(self, prior: HasDenoiser, settings: RenderScoreSettings | None = None) -> None:
        """Raises ValueError if the network has no attention or no time embedding of the diffusers kind."""
        self.settings = settings or RenderScoreSettings()
        network = prior.denoiser()
        embedding = getattr(network, "time_embedding", None)
        if not isinstance(embedding, nn.Module):
            raise ValueError("the network has no time embedding of the diffusers kind")
        layers = attention_layers(network, cross_only=False)
        sizes = {_key(layer, p): _sizes(layer.linear(p)) for layer in layers for p in PROJECTIONS}
        width = [module for module in embedding.modules() if isinstance(module, nn.Linear)][-1].out_features
        device = next(network.parameters()).device
        self.lora = PosedLora(sizes, width, self.settings.seed).to(device)
        self.optimiser = torch.optim.AdamW(self.lora.parameters(), lr=self.settings.rate)
        self._pose: Tensor | None = None
        self._adaptation = Adaptation(layers)
        self._entry = embedding.register_forward_hook(self._add_pose)
        for layer in layers:
            self._adaptation.hook(layer, self._hook(layer))

    def denoised(self, question: Question, noisy: Tensor) -> Tensor:
        with torch.no_grad(), self._heard(pose_vector(question.views).to(noisy)):
            return _told(question, noisy, question.time)

    def learn(self, question: Question) -> None:
        """One step of AdamW on the renders' denoising loss at fresh times and noise."""
        generator = question.generator(_PURPOSE)
        loss = self.loss(question, generator)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.lora.parameters(), self.settings.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def loss(self, question: Question, generator: torch.Generator) -> Tensor:
        """``E ‖eps_renders − eps‖²``, in the measure of v; on a tape to its own parameters alone."""
        low, high = self.settings.times
        together = question.prior.settings.views_together
        drawn = torch.rand(len(question.time) // together, generator=generator).repeat_interleave(together)
        time = (low + (high - low) * drawn).to(question.time)
        noise = torch.randn(question.noise.shape, generator=generator).to(question.noise)
        dropped = torch.rand(1, generator=generator).item() < self.settings.drop
        noisy = question.prior.add_noise(question.encoded, noise, time, question.modality)
        pose = pose_vector(question.views).to(noisy) * (0.0 if dropped else 1.0)
        with self._heard(pose):
            return velocity_loss(question, _told(question, noisy, time), time)

    def arrays(self) -> Arrays:
        return to_arrays(self.lora, self.optimiser)

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        restore(self.lora, self.optimiser, arrays)

    def close(self) -> None:
        self._entry.remove()
        self._adaptation.close()

    @contextmanager
    def _heard(self, pose: Tensor) -> Iterator[None]:
        self._pose = pose
        try:
            yield
        finally:
            self._pose = None

    def _add_pose(self, embedding: nn.Module, args: object, output: Tensor) -> Tensor:
        return output if self._pose is None else output + self.lora.pose(self._pose).to(output.dtype)

    def _hook(self, layer: Layer) -> Hook:
        def add(projection: Projection, x: Tensor, y: Tensor) -> Tensor:
            if self._pose is None:
                return y
            down, up = (half[_key(layer, projection)].to(x.dtype) for half in (self.lora.down, self.lora.up))
            return y + (x @ down @ up.mT).to(y.dtype)

        return add


def pose_vector(views: Views) -> Tensor:
    """Views → camera_from_world, flattened [B,16]: X right, Y up, the camera looks along its −Z."""
    sa, ca, se, ce = (f(v.float()) for v in (views.azimuth, views.elevation) for f in (torch.sin, torch.cos))
    nought, one = torch.zeros_like(sa), torch.ones_like(sa)
    rows = [
        *(ca, sa, nought, nought),
        *(-sa * se, ca * se, ce, nought),
        *(sa * ce, -ca * ce, se, -views.distance.float()),
        *(nought, nought, nought, one),
    ]
    return torch.stack(rows, 1)


def _told(question: Question, noisy: Tensor, time: Tensor) -> Tensor:
    return question.prior.predict_denoised(noisy, time, question.text, question.views, question.modality)


def _key(layer: Layer, projection: Projection) -> str:
    """A parameter's name may hold no dots."""
    return f"{layer.name}.{projection}".replace(".", "/")


def _sizes(linear: nn.Linear) -> tuple[int, int]:
    return linear.in_features, linear.out_features

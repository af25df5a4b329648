"""X-Dreamer's two ideas around any way of distilling: CG-LoRA in the network, taught by attention-mask alignment.

Distillation itself teaches the adapters nothing, for it has no gradient through the network. Attention-mask alignment
does; so does, as a switch and as our own extension, denoising the renders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.guidance.ama import alignment_loss, recorded_maps
from maquette_backend.guidance.cg_lora_session import CgLoraSession, Telling
from maquette_backend.guidance.distiller import Arrays, Distiller
from maquette_backend.guidance.guided import Guided, Question, some_views
from maquette_backend.guidance.optimiser_arrays import restore, to_arrays
from maquette_backend.guidance.recomputed import recomputed
from maquette_backend.guidance.velocity_loss import velocity_loss
from maquette_backend.priors.control import HearsControls
from maquette_backend.priors.denoiser import HasDenoiser
from maquette_backend.priors.prior import COVERAGE, Prior, Views

Directed = Callable[[Views], Tensor]
"""Views → conditions [B,T,W] whose words name the side that is seen."""


@dataclass(frozen=True)
class CgLoraSettings:
    """How the adapters learn."""

    scale: float = 1.0
    """What their addition counts for."""
    rate: float = 1e-3
    """Adam's learning rate. X-Dreamer's release has plain descent at 1e-5, which moves nothing in a short run."""
    clip: float = 5.0
    """Largest norm of the gradient, which is never scaled here: no half-precision loss scaling."""
    alignment_weight: float = 0.1
    """Of attention-mask alignment; X-Dreamer tried 0.1, 1 and 10. 0: off."""
    denoising_weight: float = 0.0
    """Of the renders' own denoising loss under the text. 0: off."""
    every: int = 4
    """They learn from one view in so many steps, in turn (from those that the prior looks at together, in so many times
    as many): a tape through the network takes more time and memory than an evaluation without."""
    start: float = 0.0
    """Share of the stage before they learn at all."""
    seed: int = 0


class CameraGuided:
    """A ``Distiller`` that guides like ``inner``, the network meanwhile hearing camera and side through CG-LoRA."""

    def __init__(
        self, prior: HasDenoiser, inner: Distiller, settings: CgLoraSettings, directed: Directed | None = None
    ) -> None:
        """``directed`` is for priors whose text does not name the side already; it may be left out."""
        self.settings = settings
        self.session = CgLoraSession(prior, settings.scale, settings.seed)
        self._prior = prior
        self._inner = inner
        self._directed = directed
        self.optimiser = torch.optim.Adam(self.session.lora.parameters(), lr=settings.rate, betas=(0.9, 0.99))
        self._steps = 0

    def guide(self, question: Question) -> Guided:
        """As ``inner``; afterwards, at its turn, the adapters take a step."""
        telling = self.telling_of(question)
        with self.session.telling(telling):
            guided = self._inner.guide(question)
        learning = self.settings.alignment_weight or self.settings.denoising_weight
        together = question.prior.settings.views_together
        turn, rest = divmod(self._steps, self.settings.every * together)
        if learning and question.progress >= self.settings.start and not rest:
            first = turn * together % len(question.encoded)
            rows = slice(first, first + together)
            with _heard_by(question.prior, rows):
                self.learn(some_views(question, rows), telling.of(rows))
        self._steps += 1
        return guided

    def telling_of(self, question: Question) -> Telling:
        """What the adapters are told in the question's step."""
        return self.session.telling_of(question, self._directed and self._directed(question.views))

    def learn(self, question: Question, telling: Telling) -> float:
        """One step of the adapters' own optimiser; returns their loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(question, telling)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.session.lora.parameters(), self.settings.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    def loss(self, question: Question, telling: Telling) -> Tensor:
        """What the adapters learn from, on a tape to their parameters alone."""
        settings, prior = self.settings, question.prior
        noisy, tokens = question.noisy(), self._prior.object_tokens(question.text)
        total = noisy.new_zeros(())
        truncated = not settings.denoising_weight
        session = self.session
        with (
            session.telling(telling),
            recomputed(session.network),
            recorded_maps(session.adaptation, tokens, truncated) as maps,
        ):
            clean = prior.predict_denoised(noisy, question.time, question.text, question.views, question.modality)
            total = total + settings.denoising_weight * velocity_loss(question, clean, question.time)
        if settings.alignment_weight:
            mask = coverage(question)
            total = total + settings.alignment_weight * alignment_loss(list(maps.values()), mask)
        return total

    def arrays(self) -> Arrays:
        own = to_arrays(self.session.lora, self.optimiser) | {"steps": np.array(self._steps)}
        return {f"cg_lora/{name}": array for name, array in own.items()} | {
            f"inner/{name}": array for name, array in self._inner.arrays().items()
        }

    def restore(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        own = {name.removeprefix("cg_lora/"): a for name, a in arrays.items() if name.startswith("cg_lora/")}
        if "steps" not in own:
            raise RuntimeError("the checkpoint holds no camera-guided adapters")
        self._steps = int(own.pop("steps"))
        restore(self.session.lora, self.optimiser, own)
        self._inner.restore({k.removeprefix("inner/"): a for k, a in arrays.items() if k.startswith("inner/")})

    def close(self) -> None:
        self.session.close()
        self._inner.close()


def _heard_by(prior: Prior, rows: slice) -> AbstractContextManager[None]:
    """ControlNets speak of all of a step's views; here of some."""
    return prior.hearing_some(rows) if isinstance(prior, HearsControls) else nullcontext()


def coverage(question: Question) -> Tensor:
    """The subject's mask [B,1,H,W] 0..1: the question's own, or the picture's channel.

    Raises ValueError where there is neither.
    """
    if question.mask is not None:
        return question.mask.detach()
    if question.modality not in ("joint", "surface"):
        raise ValueError(f"attention-mask alignment needs a mask: pictures of “{question.modality}” don't show coverage")
    return ((question.encoded[:, COVERAGE] + 1) / 2).clamp(0, 1)

"""CG-LoRA at work in a prior's network: put in, told what is seen, taken out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maquette_backend.guidance.adapted import Adaptation, Hook, Layer, Projection, attention_layers
from maquette_backend.guidance.cg_lora import RANK, CgLora, adapted, camera_vector, targets_of
from maquette_backend.guidance.guided import Question
from maquette_backend.priors.denoiser import HasDenoiser

_TEXT_PLACE = 2
"""Of ``encoder_hidden_states`` among a diffusers UNet's positional arguments."""


@dataclass(frozen=True)
class Telling:
    """What the adapters are told about a batch of B views."""

    camera: Tensor
    """[B,6]"""
    told: Tensor
    """[B,W] end-of-text vectors"""
    untold: Tensor
    """[W], of the empty text"""
    untold_rows: tuple[Tensor, ...]
    """Conditions [B,T,W] that count as untold: the negative and the empty one."""

    def of(self, rows: slice) -> Telling:
        """The same about some of the views."""
        return Telling(self.camera[rows], self.told[rows], self.untold, tuple(one[rows] for one in self.untold_rows))


class CgLoraSession:
    """Adapters in the cross-attention of a prior's network.

    Outside ``telling`` they add nothing. The network may be evaluated from several threads meanwhile, with text and
    negative in one batch or apart.
    """

    def __init__(self, prior: HasDenoiser, scale: float = 1.0, seed: int = 0) -> None:
        self._prior = prior
        self._scale = scale
        self.network = prior.denoiser()
        layers = attention_layers(self.network, cross_only=True)
        targets = targets_of(layers)
        width = next(target.inputs for target in targets if target.projection == "to_k")
        device = next(self.network.parameters()).device
        self.adaptation = Adaptation(layers)
        self.lora = CgLora(targets, width, seed).to(device)
        self._telling: Telling | None = None
        self._generated = threading.local()
        self._entry = self.network.register_forward_pre_hook(self._generate, with_kwargs=True)
        places: dict[tuple[str, Projection], int] = {(to.layer, to.projection): n for n, to in enumerate(targets)}
        self._of_text = [n for n, to in enumerate(targets) if to.projection in ("to_k", "to_v") and to.inputs == width]
        """Every layer's keys and values are projections of one and the same text."""
        for layer in layers:
            self.adaptation.hook(layer, self._hook(layer, places))

    def telling_of(self, question: Question, directed: Tensor | None = None) -> Telling:
        """From a step's question. ``directed``: conditions [B,T,W] that name the side seen, where the text does not."""
        text = question.text if directed is None else directed
        empty = question.prior.encode_text([""]).data.to(text)
        rows = (question.negative, empty.expand_as(question.negative))
        camera = camera_vector(question.views).to(text)
        return Telling(camera, self._summary(text), self._summary(empty)[0], rows)

    @contextmanager
    def telling(self, telling: Telling) -> Iterator[None]:
        """Within it the network hears the adapters."""
        self._telling = telling
        try:
            yield
        finally:
            self._telling = None
            self._forget()  # what was generated, in this thread at least, and the tape behind it

    def close(self) -> None:
        """Leave the network as it was found. Harmless when repeated."""
        self._entry.remove()
        self.adaptation.close()

    def _summary(self, text: Tensor) -> Tensor:
        return torch.einsum("bt,btw->bw", self._prior.object_tokens(text).to(text), text)

    def _generate(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before each evaluation, in its thread: the down matrices for its batch, once for all layers."""
        telling = self._telling
        if telling is None:
            self._forget()
            return
        text = kwargs["encoder_hidden_states"] if "encoder_hidden_states" in kwargs else args[_TEXT_PLACE]
        repeats, rest = divmod(len(text), len(telling.camera))
        if rest:
            raise ValueError(f"{len(text)} samples are no multiple of the {len(telling.camera)} views told of")
        told = torch.where(_is_any(text, telling.untold_rows)[:, None], telling.untold, telling.told.repeat(repeats, 1))
        # many products of a few rows each: casting them down would take longer than it saves
        with torch.autocast(text.device.type, enabled=False):
            downs = self.lora(telling.camera.repeat(repeats, 1), told)
        downs = downs if self._scale == 1 else [self._scale * down for down in downs]
        self._generated.text, self._generated.downs = text, downs
        self._generated.narrow = self._narrow(text, downs)

    def _forget(self) -> None:
        self._generated.downs = self._generated.text = self._generated.narrow = None

    def _narrow(self, text: Tensor, downs: Sequence[Tensor]) -> dict[int, Tensor]:
        """``text · A`` [B,T,4] of the keys and values, by their places among the targets: one product in place of two a
        layer, each too narrow to be quick."""
        joined = torch.cat([downs[place] for place in self._of_text], 2).to(text.dtype)
        if joined.shape[1] != text.shape[2]:  # the network projects it first
            return {}
        return dict(zip(self._of_text, (text @ joined).split(RANK, 2), strict=True))

    def _hook(self, layer: Layer, places: dict[tuple[str, Projection], int]) -> Hook:
        def add(projection: Projection, x: Tensor, y: Tensor) -> Tensor:
            downs = getattr(self._generated, "downs", None)
            if downs is None:
                return y
            place, ready = places[layer.name, projection], self._generated.narrow
            shared = x is self._generated.text and place in ready
            narrow = ready[place] if shared else x @ downs[place].to(x.dtype)
            return adapted(y, narrow, self.lora.up[place])

        return add


def _is_any(text: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """Which of text's samples [k·B,T,W] equal their view's row [B,T,W] of any of ``rows``; bool [k·B]."""
    by_view = text.unflatten(0, (-1, len(rows[0])))
    same = [(by_view == row.to(text)).flatten(2).all(2) for row in rows]
    return torch.stack(same).any(0).flatten()

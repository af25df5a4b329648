"""A model's text encoders, held where there is room for them and in a type in which their numbers are finite."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from maquette_protocol.errors import ErrorCode, MaquetteError
from torch import Tensor, nn

from maquette_backend.priors.diffusers.machine import Machine
from maquette_backend.priors.diffusers.precision import short, wider_than
from maquette_backend.priors.notices import Notices

PROCESSOR = Machine(torch.device("cpu"), torch.bfloat16)
"""Where encoders compute that find no room on the GPU: float16 is slow there, and float32 of the largest takes 19 GB."""


@dataclass(frozen=True)
class Encoder:
    """One text encoder with its tokenizer."""

    tokenizer: Any
    network: nn.Module
    limit: int
    """Tokens."""

    def tokens(self, texts: Sequence[str]) -> Any:
        """Padded and cut to the limit; ``input_ids`` and ``attention_mask`` are [texts,limit]."""
        return self.tokenizer(
            list(texts), padding="max_length", max_length=self.limit, truncation=True, return_tensors="pt"
        )


@dataclass(frozen=True)
class Reader:
    """What is known of an encoder while its network is elsewhere."""

    tokenizer: Any
    limit: int
    """Tokens."""
    projection: int
    """Length of its pooled vector; 0 for none."""


class Encoders:
    """They stay where they are, or are loaded for new prompts only, or compute on the processor."""

    def __init__(
        self,
        load: Callable[[Machine], Sequence[Encoder]],
        machine: Machine,
        *,
        keep: bool = True,
        name: str = "the model",
        notices: Notices | None = None,
    ) -> None:
        """``load`` reads them onto a machine, in its type. ``keep`` False: they are freed after every use. ``name``: of
        the model, for errors."""
        self._load = load
        self._on = machine
        self._keep = keep
        self._name = name
        self._notices = notices or Notices()
        self._was_widened = False
        self._held: Sequence[Encoder] | None = None
        self.readers = self._first_read()

    def __call__(self, run: Callable[[Sequence[Encoder], torch.device], Tensor]) -> Tensor:
        """What ``run`` makes with them. Where memory runs out they give way; where the numbers are not finite they run
        once more in a wider type, and from then on so.

        Raises:
            MaquetteError: INTERNAL, the numbers are not finite in the wider type either.
        """
        while True:
            try:
                result = self._once(run)
            except torch.OutOfMemoryError:
                if self._on.device.type == "cpu":
                    raise
            else:
                if bool(torch.isfinite(result).all()):
                    return result
                self._widen()
                continue
            self.give_way()  # not in the handler: what was computed is alive there

    @property
    def can_give_way(self) -> bool:
        """Whether they hold memory of the GPU between two prompts."""
        return self._keep and self._on.device.type != "cpu"

    def give_way(self) -> None:
        """Off the GPU but for new prompts; then for those, too."""
        if self._keep:
            self._keep = False
            how = "are loaded for new prompts only now"
        else:
            self._on, self._was_widened = PROCESSOR, False
            how = "run on the processor now, slowly"
        self._notices.say(f"Out of memory: the text encoders of {self._name} {how}.")
        self._forget()

    def _once(self, run: Callable[[Sequence[Encoder], torch.device], Tensor]) -> Tensor:
        encoders = self._held or self._load(self._on)
        try:
            return run(encoders, self._on.device)
        finally:
            self._held = encoders if self._keep else None

    def _widen(self) -> None:
        dtype, wider = self._on.dtype, wider_than(self._on.dtype, self._on.device)
        if wider is None or self._was_widened:
            text = f"The text encoders of {self._name} give numbers that are not finite in {short(dtype)}."
            raise MaquetteError(ErrorCode.INTERNAL, text, "Their weights are damaged: check them with `models verify`.")
        self._notices.say(f"The text encoders of {self._name} overflow in {short(dtype)}; they run in {short(wider)} now.")
        self._on, self._was_widened = replace(self._on, dtype=wider), True
        self._forget()  # loaded anew, for weights, too, may be beyond the narrower type

    def _forget(self) -> None:
        self._held = None
        gc.collect()  # networks refer to themselves in circles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _first_read(self) -> list[Reader]:
        encoders = self._load(self._on)
        self._held = encoders if self._keep else None
        lengths = [int(getattr(one.network.config, "projection_dim", 0) or 0) for one in encoders]
        return [Reader(one.tokenizer, one.limit, length) for one, length in zip(encoders, lengths, strict=True)]


def clip_limit(tokenizer: Any, network: nn.Module) -> int:
    """Tokens that a CLIP encoder takes: as many as it has positions, whatever the tokenizer's file says."""
    return min(int(tokenizer.model_max_length), int(network.config.max_position_embeddings))  # pyright: ignore

"""Half precision with a way out: numbers that overflow are computed once more, wider, and from then on so."""

from __future__ import annotations

from collections.abc import Callable

import torch
from maquette_protocol.errors import ErrorCode, MaquetteError
from torch import Tensor, nn

from maquette_backend.priors.notices import Notices


def half_for(device: torch.device) -> torch.dtype:
    """What networks run in: float16 on CUDA (its kernels are the quickest on every card), float32 elsewhere."""
    return torch.float16 if device.type == "cuda" else torch.float32


def wider_than(dtype: torch.dtype, device: torch.device) -> torch.dtype | None:
    """What to try when a network overflows: bfloat16 takes no more memory and has float32's range. None: nothing."""
    if dtype in (torch.float32, torch.float64):
        return None
    has_bfloat = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if dtype == torch.float16 and has_bfloat else torch.float32


class Careful:
    """Runs a network, and looks at what comes out."""

    def __init__(
        self, network: nn.Module, dtype: torch.dtype, device: torch.device, name: str, notices: Notices | None = None
    ) -> None:
        """``name``: of the model and the part, for errors."""
        self.dtype = dtype
        # the libraries' own `to` warns of parts that want float32; those that have such parts keep them when loaded
        self._network = nn.Module.to(network, device=device, dtype=dtype)
        self._wider = wider_than(dtype, device)
        self._name = name
        self._notices = notices or Notices()

    def __call__(self, run: Callable[[torch.dtype], Tensor], *given: Tensor) -> Tensor:
        """``run`` gets the type to compute in; ``given`` is what it computes from.

        Raises:
            MaquetteError: INTERNAL, there were numbers that are not finite, in a wider type too.
        """
        result = run(self.dtype)
        if bool(torch.isfinite(result).all()):
            return result
        if not all(bool(torch.isfinite(one).all()) for one in given):
            raise MaquetteError(
                ErrorCode.INTERNAL,
                f"What the {self._name} was given is not finite.",
                "The refinement has diverged: lower the guidance scale.",
            )
        if self._wider is None:
            raise MaquetteError(
                ErrorCode.INTERNAL,
                f"The {self._name} gives numbers that are not finite in {short(self.dtype)}.",
                "Its weights are damaged or made for another scheduler: check it with `models verify`.",
            )
        how = f"overflows in {short(self.dtype)}; it runs in {short(self._wider)} now"
        self._notices.say(f"The {self._name} {how}.")
        self.dtype, self._wider = self._wider, None
        nn.Module.to(self._network, dtype=self.dtype)
        return self(run, *given)


def short(dtype: torch.dtype) -> str:
    """Its name for people."""
    return str(dtype).removeprefix("torch.")

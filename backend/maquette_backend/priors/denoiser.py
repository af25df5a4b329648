"""What a prior may have besides: it lets guidance look into its network, and add to it for a while."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class HasDenoiser(Protocol):
    """A prior whose network guidance can adapt. Check with ``isinstance``."""

    def denoiser(self) -> nn.Module:
        """The network itself, not a copy: a diffusers UNet, called with the text as ``encoder_hidden_states`` [B,T,W]
        (third positional argument or by that name), whose rows are those of the condition. Who adds something to it
        takes it away again."""
        ...

    def object_tokens(self, text: Tensor) -> Tensor:
        """Conditions [B,T,W] that it encoded itself → weights [B,T], summing to 1, of the tokens that stand for the
        object as a whole: the end-of-text token for most encoders. Raises KeyError for a text it did not encode."""
        ...

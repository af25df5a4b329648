"""Four views of one subject denoised together: self-attention looks across all of them.

MVDream's idea (Shi et al. 2023, section 3.1): the tokens of a subject's views form one sequence in every self-attention
layer; nothing else changes, so one view is the special case of a sequence of its own.
"""

from __future__ import annotations

from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

VIEWS = 4


class ViewsTogether(AttnProcessor2_0):
    """A diffusers attention processor: ``views`` consecutive samples of the batch share their self-attention."""

    def __init__(self, views: int) -> None:
        super().__init__()
        self._views = views

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *args: object,
        **kwargs: object,
    ) -> Tensor:
        """hidden_states [B,N,C], B a multiple of ``views`` → the same shape. Raises ValueError for other batches."""
        batch, tokens, channels = hidden_states.shape
        if batch % self._views:
            raise ValueError(f"{batch} samples can't be shared out to subjects of {self._views} views each")
        together = hidden_states.reshape(batch // self._views, self._views * tokens, channels)
        mixed = super().__call__(attn, together, encoder_hidden_states, attention_mask, temb)
        return mixed.reshape(batch, tokens, channels)


def show_together(network: UNet2DConditionModel, views: int = VIEWS) -> None:
    """From now on each ``views`` samples of a batch are views of one subject; 1: each stands alone again."""
    for name, module in network.named_modules():
        if isinstance(module, Attention):
            crossing = views > 1 and name.endswith("attn1")
            # every processor class is welcome there, whatever the annotation says
            module.set_processor(ViewsTogether(views) if crossing else AttnProcessor2_0())  # pyright: ignore[reportArgumentType]

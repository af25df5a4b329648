"""A shorter tape through a network: parts that nothing learns in are evaluated again when the gradient passes.

Chen et al. 2016, "Training deep nets with sublinear memory cost" (arXiv 1604.06174), for the parts between the adapters:
the tape keeps what goes into each, not what happens inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import nn
from torch.utils.checkpoint import checkpoint

from maquette_backend.guidance.adapted import HookedProcessor


def parts_without_adapters(network: nn.Module) -> list[nn.Module]:
    """Residual blocks, feed-forwards, and attention that no adapter was put over: no one learns inside them."""
    found = [module for module in network.modules() if isinstance(module, ResnetBlock2D | FeedForward | Attention)]
    return [one for one in found if not (isinstance(one, Attention) and isinstance(one.processor, HookedProcessor))]


@contextmanager
def recomputed(network: nn.Module) -> Iterator[None]:
    """Within it, and in gradients of what was evaluated within it, those parts are evaluated twice. The values are the same.

    Only while no other thread evaluates the network.
    """
    parts = parts_without_adapters(network)
    for part in parts:
        part.forward = _twice(part.forward)
    try:
        yield
    finally:
        for part in parts:
            del part.__dict__["forward"]


def _twice(forward: Callable[..., Any]) -> Callable[..., Any]:
    def evaluated(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return evaluated

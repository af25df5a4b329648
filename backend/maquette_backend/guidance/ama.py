"""Attention-mask alignment: where the network looks for the object should be where the object is.

X-Dreamer (Ma et al. 2023): ``L = (1/n) Σ_i |mask_i − map_i|`` over one map from each block, each map
min–max normalised, each mask resized from the rasteriser's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from maquette_backend.guidance.adapted import Adaptation, Layer, Projection

_FLAT = 1e-6
"""Keeps a map without any contrast from being divided by 0."""


class _MapsComplete(Exception):
    """Every map has been seen: the rest of the network need not run."""


def last_of_each_block(layers: Sequence[Layer]) -> list[Layer]:
    """Of cross-attention ``layers`` the last of each block (``down_blocks.1``, ``mid_block``, …)."""
    last: dict[str, Layer] = {}
    for layer in layers:
        parts = layer.name.split(".")
        last[parts[0] if parts[0] == "mid_block" else ".".join(parts[:2])] = layer
    return list(last.values())


@contextmanager
def recorded_maps(adaptation: Adaptation, tokens: Tensor, stop: bool) -> Iterator[dict[str, Tensor]]:
    """Layer's name → attention logits [B,N] at ``tokens`` (weights [B,T]), filled in by one evaluation within it.

    The logit ``q·k / √d`` of a token, averaged over heads, before the softmax: a product with one key, so the
    attention over all tokens is never held. ``stop``: leave the block as soon as all are there; the rest of the network
    does not run.
    """
    layers = last_of_each_block([layer for layer in adaptation.layers if layer.name.endswith("attn2")])
    maps: dict[str, Tensor] = {}
    undo = [adaptation.hook(layer, _Recorder(layer, tokens, maps, len(layers) if stop else 0)) for layer in layers]
    try:
        yield maps
    except _MapsComplete:
        pass  # that is all that was wanted
    finally:
        for remove in undo:
            remove()


def alignment_loss(maps: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Logits [B,N] each and a mask [B,1,H,W] 0..1 → scalar; differentiable in both."""
    return torch.stack([_distance(logits, mask).mean() for logits in maps]).mean()


def agreement(maps: Sequence[Tensor], mask: Tensor) -> float:
    """Mean correlation of maps and masks over views and maps, −1..1: a measure that the loss was not written in."""
    both = [(resized(mask, logits).flatten(1), logits) for logits in maps]
    centred = [[values - values.mean(1, keepdim=True) for values in pair] for pair in both]
    return float(torch.stack([F.cosine_similarity(*pair, dim=1).mean() for pair in centred]).mean())


def resized(mask: Tensor, logits: Tensor) -> Tensor:
    """The mask's share of each cell of the map: [B,1,H,W] and [B,N] → [B,h,w], h·w = N with the mask's proportions.

    Raises ValueError if N cells can't be laid out like that.
    """
    height = round((logits.shape[1] * mask.shape[2] / mask.shape[3]) ** 0.5)
    width = logits.shape[1] // max(height, 1)
    if height * width != logits.shape[1]:
        raise ValueError(f"{logits.shape[1]} cells have not the proportions of a mask {tuple(mask.shape[2:])}")
    return F.adaptive_avg_pool2d(mask, (height, width))[:, 0]


def normalised(logits: Tensor) -> Tensor:
    """[B,N] → 0..1, each sample by its own least and greatest."""
    low, high = logits.amin(1, keepdim=True), logits.amax(1, keepdim=True)
    return (logits - low) / (high - low + _FLAT)


def _distance(logits: Tensor, mask: Tensor) -> Tensor:
    return (resized(mask, logits).flatten(1) - normalised(logits)).abs()


class _Recorder:
    """A hook that turns a layer's queries and keys into one map."""

    def __init__(self, layer: Layer, tokens: Tensor, maps: dict[str, Tensor], enough: int) -> None:
        self._layer, self._tokens, self._maps, self._enough = layer, tokens, maps, enough
        self._seen: dict[Projection, Tensor] = {}

    def __call__(self, projection: Projection, x: Tensor, y: Tensor) -> Tensor:
        self._seen[projection] = y
        if projection in ("to_q", "to_k") and {"to_q", "to_k"} <= self._seen.keys():
            self._maps[self._layer.name] = self._map(self._seen["to_q"], self._seen["to_k"])
            self._seen.clear()
            if len(self._maps) == self._enough:
                raise _MapsComplete
        return y

    def _map(self, queries: Tensor, keys: Tensor) -> Tensor:
        """[B,N,C] and [B,T,C] → [B,N]. The sum over all of C is the sum over the heads."""
        precise = torch.promote_types(queries.dtype, torch.float32)
        with torch.autocast(queries.device.type, enabled=False):
            key = torch.einsum("bt,btc->bc", self._tokens.to(precise), keys.to(precise))
            heads = self._layer.attention.heads
            return torch.einsum("bnc,bc->bn", queries.to(precise), key) * (self._layer.attention.scale / heads)

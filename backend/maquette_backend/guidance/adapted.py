"""Adds to what a diffusers network's attention layers project, by way of attention processors, and takes it off again.

The network's modules are never touched: a processor runs the layer's former processor and hands it the layer with the
projections' outputs passed through hooks. So any processor can be under it, and taking it off leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

Projection = Literal["to_q", "to_k", "to_v", "to_out"]
PROJECTIONS: tuple[Projection, ...] = ("to_q", "to_k", "to_v", "to_out")
Hook = Callable[[Projection, Tensor, Tensor], Tensor]
"""Which projection, its input [B,N,d_in], its output [B,N,d_out] → the output to go on with."""


@dataclass(frozen=True)
class Layer:
    """One attention layer of a network."""

    name: str
    attention: Attention

    def linear(self, projection: Projection) -> nn.Linear:
        """The layer's own linear map. Raises TypeError if it is something else."""
        out = self.attention.to_out
        module = out[0] if projection == "to_out" and out is not None else getattr(self.attention, projection)
        if not isinstance(module, nn.Linear):
            raise TypeError(f"{self.name}.{projection} is a {type(module).__name__}, and only linear maps can be adapted")
        return module


def attention_layers(network: nn.Module, cross_only: bool) -> list[Layer]:
    """Every attention layer of the network, or the cross-attention alone, in the order of its module tree.

    Raises ValueError if there is none.
    """
    found = [Layer(name, module) for name, module in network.named_modules() if isinstance(module, Attention)]
    wanted = [layer for layer in found if layer.name.endswith("attn2") or not cross_only]
    if not wanted:
        raise ValueError(f"the network has no {'cross-' if cross_only else ''}attention of the diffusers kind to adapt")
    return wanted


class HookedProcessor:
    """An attention processor: what was there before, with the layer's projections passed through ``hooks`` in turn."""

    def __init__(self, inner: Callable[..., Tensor]) -> None:
        self.inner = inner
        self.hooks: list[Hook] = []

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
        """As the processor before it."""
        layer = _HookedLayer(attn, self.hooks) if self.hooks else attn
        return self.inner(layer, hidden_states, encoder_hidden_states, attention_mask, temb, *args, **kwargs)


class Adaptation:
    """Processors put over those of some layers of a network."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self._processors = [_put_over(layer.attention) for layer in layers]

    def hook(self, layer: Layer, hook: Hook) -> Callable[[], None]:
        """Let ``hook`` see the layer, after those before it; calling the result takes it away."""
        hooks = self._processors[self.layers.index(layer)].hooks
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    def close(self) -> None:
        """Give every layer its former processor back. Harmless when repeated."""
        for layer, processor in zip(self.layers, self._processors, strict=True):
            _take_off(layer.attention, processor)


class _HookedLayer:
    """An attention layer to a processor, all of it the real one's but the outputs of its projections."""

    def __init__(self, attention: Attention, hooks: Sequence[Hook]) -> None:
        self._attention = attention
        self._hooks = hooks

    def __getattr__(self, name: str) -> object:
        return getattr(self._attention, name)

    def to_q(self, x: Tensor) -> Tensor:
        return self._projected("to_q", self._attention.to_q, x)

    def to_k(self, x: Tensor) -> Tensor:
        return self._projected("to_k", self._attention.to_k, x)

    def to_v(self, x: Tensor) -> Tensor:
        return self._projected("to_v", self._attention.to_v, x)

    @property
    def to_out(self) -> list[Callable[[Tensor], Tensor]]:
        out = list(self._attention.to_out or [])
        first = out[0] if out else None
        return [lambda x: self._projected("to_out", first, x), *out[1:]]

    def _projected(self, projection: Projection, linear: Callable[[Tensor], Tensor] | None, x: Tensor) -> Tensor:
        if linear is None:
            raise TypeError(f"an attention layer has no {projection} to adapt")
        y = linear(x)
        for hook in self._hooks:
            y = hook(projection, x, y)
        return y


def _put_over(attention: Attention) -> HookedProcessor:
    processor = HookedProcessor(attention.processor)
    # every processor class is welcome there, whatever the annotation says
    attention.set_processor(processor)  # pyright: ignore[reportArgumentType]
    return processor


def _take_off(attention: Attention, processor: HookedProcessor) -> None:
    """Wherever in the pile it is by now; if somebody has replaced the whole pile, there is nothing to do."""
    above: object = attention.processor
    if above is processor:
        attention.set_processor(processor.inner)  # pyright: ignore[reportArgumentType]
        return
    while isinstance(above, HookedProcessor):
        if above.inner is processor:
            above.inner = processor.inner
            return
        above = above.inner

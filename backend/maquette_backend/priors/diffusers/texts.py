"""Prompts through a model's text encoders, into one tensor a prompt.

A prior's condition is a single tensor: where a model has a pooled vector besides its tokens (XL and 3) it follows them
in rows of their width, filled up with zeros.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from maquette_backend.priors.diffusers.encoders import Encoder, Encoders

REMEMBERED = 64
"""Prompts kept encoded. A job has a prompt with four sides for each subject; of Stable Diffusion 3 each is 5 MB."""
T5_TOKENS = 256
"""What diffusers gives Stable Diffusion 3's third encoder, whatever its tokenizer would take."""
Style = Literal["last", "penultimate", "joint"]
"""Stable Diffusion: the last layer's tokens. XL: the last but one of two encoders side by side, and the second's
pooled vector. 3: both pooled vectors, and the tokens of a third encoder behind those of the first two."""


@dataclass(frozen=True)
class Layout:
    """How a condition's rows are to be read."""

    pooled: int = 0
    """Length of the pooled vector; 0 for none."""

    def pack(self, tokens: Tensor, pooled: Tensor) -> Tensor:
        """Tokens [texts,N,W] and pooled vectors [texts,P] → [texts,N+⌈P/W⌉,W]."""
        width = tokens.shape[-1]
        filled = nn.functional.pad(pooled, (0, -pooled.shape[-1] % width))
        return torch.cat([tokens, filled.view(len(pooled), -1, width)], 1)

    def unpack(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse; without pooled vectors these are [texts,0]."""
        rows = -(-self.pooled // packed.shape[-1])
        tokens = packed[:, : packed.shape[1] - rows]
        return tokens, packed[:, packed.shape[1] - rows :].flatten(1)[:, : self.pooled]


class Texts:
    """Encodes prompts, and remembers them."""

    def __init__(
        self,
        encoders: Encoders,
        style: Style,
        device: torch.device,
        *,
        empty_is_zero: bool = False,
        width: int = 0,
    ) -> None:
        """``device``: where conditions are wanted, wherever the encoders are.

        ``empty_is_zero``: the empty text is all zeros (XL was trained so). ``width``: of the tokens that a model
        without its third encoder expects there.
        """
        self.encoders = encoders
        self._style: Style = style
        self._device = device
        self._empty_is_zero = empty_is_zero
        self._width = width
        self._known: OrderedDict[str, Tensor] = OrderedDict()
        self.layout = Layout(self._pooled_length())

    def encode(self, texts: Sequence[str]) -> Tensor:
        """[texts,rows,width] float32."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        if fresh:
            with torch.no_grad():
                self._known.update(zip(fresh, self._encoded(fresh).unbind(0), strict=True))
        result = torch.stack([self._known[text] for text in texts])
        for text in dict.fromkeys(texts):
            self._known.move_to_end(text)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return result

    def chars_read(self, text: str) -> int:
        """Characters of ``text``, without blanks around it, that the encoder that takes the most of it reads."""
        text = text.strip()
        return max(_chars(one.tokenizer, one.limit, text) for one in self.encoders.readers)

    def ends(self, rows: Tensor) -> Tensor:
        """Conditions [B,N,W] from ``encode`` → place of each one's end mark, [B]. Raises KeyError for others."""
        return torch.tensor([self._end(row) for row in rows], device=rows.device)

    def _end(self, row: Tensor) -> int:
        first = self.encoders.readers[0]
        for text, known in reversed(self._known.items()):
            if known.shape == row.shape and torch.equal(known, row.to(known)):
                return len(first.tokenizer(text, truncation=True, max_length=first.limit).input_ids) - 1
        raise KeyError("this condition was not encoded by this prior, or so long ago that it is forgotten")

    def _encoded(self, texts: list[str]) -> Tensor:
        def run(encoders: Sequence[Encoder], device: torch.device) -> Tensor:
            rows = self._rows(encoders, texts, device).to(device=self._device, dtype=torch.float32)
            if self._empty_is_zero:
                rows[[not text for text in texts]] = 0
            return rows

        return self.encoders(run)

    def _rows(self, encoders: Sequence[Encoder], texts: list[str], device: torch.device) -> Tensor:
        if self._style == "last":
            encoder = encoders[0]
            tokens = encoder.tokens(texts)
            config: Any = encoder.network.config
            masked = tokens.attention_mask.to(device) if getattr(config, "use_attention_mask", False) else None
            return encoder.network(tokens.input_ids.to(device), attention_mask=masked).last_hidden_state
        pairs = [_penultimate(encoder, texts, device) for encoder in encoders[:2]]
        tokens = torch.cat([hidden for hidden, _ in pairs], -1)
        if self._style == "penultimate":
            return self.layout.pack(tokens, pairs[1][1])
        third = self._third(encoders, texts, tokens, device)
        tokens = nn.functional.pad(tokens, (0, third.shape[-1] - tokens.shape[-1]))
        return self.layout.pack(torch.cat([tokens, third], 1), torch.cat([pooled for _, pooled in pairs], -1))

    def _third(self, encoders: Sequence[Encoder], texts: list[str], like: Tensor, device: torch.device) -> Tensor:
        """Zeros where the folder has no third encoder, as diffusers does it."""
        if len(encoders) < 3:
            return like.new_zeros(len(texts), T5_TOKENS, self._width)
        ids = encoders[2].tokens(texts).input_ids.to(device)
        return encoders[2].network(ids).last_hidden_state.to(like)

    def _pooled_length(self) -> int:
        lengths = [one.projection for one in self.encoders.readers[:2]] if self._style != "last" else []
        return sum(lengths if self._style == "joint" else lengths[1:])


def _penultimate(encoder: Encoder, texts: list[str], device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens of the last layer but one [texts,N,W], and the pooled vector [texts,P] (of an encoder that has one)."""
    out = encoder.network(encoder.tokens(texts).input_ids.to(device), output_hidden_states=True)
    pooled = getattr(out, "text_embeds", None)
    return out.hidden_states[-2], out.pooler_output if pooled is None else pooled


def _chars(tokenizer: Any, limit: int, text: str) -> int:
    if len(tokenizer(text, verbose=False).input_ids) <= limit:
        return len(text)
    cut = tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True)
    return max(end for _, end in cut.offset_mapping)

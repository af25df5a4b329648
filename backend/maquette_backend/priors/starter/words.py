"""Words for the network: every text becomes 32 token vectors, by the small BERT in the prior's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import BertModel

from maquette_backend.priors.starter.network import on_device
from maquette_backend.priors.starter.reading import chars_read

TOKENS = 32
"""Every text is cut or padded to this many, its start and end marks included."""
_BATCH = 256
_CACHED_TEXTS = 4096


class WordEncoder:
    """Texts → token vectors; the empty text is the unconditional one. Surrounding blanks don't count."""

    def __init__(self, tokenizer: Tokenizer, bert: BertModel, device: torch.device) -> None:
        tokenizer.enable_truncation(TOKENS)
        tokenizer.enable_padding(length=TOKENS)
        self._tokenizer = tokenizer
        self._bert = on_device(bert, device).eval().requires_grad_(False)
        self._device = device
        self._cache: dict[str, Tensor] = {}
        self._ends: dict[bytes, int] = {}

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Token vectors [texts,32,128] float32. Cached per text."""
        stripped = [text.strip() for text in texts]
        missing = sorted(set(stripped) - self._cache.keys())
        if len(self._cache) + len(missing) > _CACHED_TEXTS:
            self._cache = {text: self._cache[text] for text in stripped if text in self._cache}
            self._ends = {key: self._ends[key] for key in map(_key, self._cache.values())}
        for start in range(0, len(missing), _BATCH):
            chunk = missing[start : start + _BATCH]
            self._cache.update(zip(chunk, self._vectors(chunk), strict=True))
        return torch.stack([self._cache[text] for text in stripped])

    def ends(self, vectors: Tensor) -> Tensor:
        """Token vectors [texts,32,128] that ``encode`` gave → place of each text's end mark [texts].

        Raises KeyError for others.
        """
        return torch.tensor([self._ends[_key(row)] for row in vectors], device=vectors.device)

    @torch.no_grad()
    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [texts,128], whose angles are what the encoder was taught of meaning. Not cached."""
        stripped = [text.strip() for text in texts]
        return torch.cat([self._means(stripped[at : at + _BATCH]) for at in range(0, len(stripped), _BATCH)])

    def chars_read(self, text: str) -> int:
        """Characters of a text, without blanks around it, that fit into the 32 tokens."""
        return chars_read(self._tokenizer, text)

    def token_texts(self, text: str) -> list[str]:
        """The pieces that the 32 vectors of a text stand for, for reading attention maps."""
        return self._tokenizer.encode(text.strip()).tokens

    def _means(self, texts: list[str]) -> Tensor:
        encodings = self._tokenizer.encode_batch(texts)
        longest = max(sum(encoding.attention_mask) for encoding in encodings)  # padding beyond it only takes time
        tokens = torch.tensor([encoding.ids[:longest] for encoding in encodings], device=self._device)
        mask = torch.tensor([encoding.attention_mask[:longest] for encoding in encodings], device=self._device)
        hidden = self._bert(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        return F.normalize((hidden * mask[..., None]).sum(1), dim=-1)

    @torch.no_grad()
    def _vectors(self, texts: list[str]) -> Tensor:
        encodings = self._tokenizer.encode_batch(texts)
        tokens = torch.tensor([encoding.ids for encoding in encodings], device=self._device)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], device=self._device)
        vectors = self._bert(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        lengths = mask.sum(1).tolist()
        self._ends |= {_key(row): length - 1 for row, length in zip(vectors, lengths, strict=True)}
        return vectors


def _key(vectors: Tensor) -> bytes:
    """What tells texts apart: the start mark's vector [128], which has seen every token."""
    return vectors[0].cpu().numpy().tobytes()


def load_words(folder: Path, device: torch.device) -> WordEncoder:
    """From the subfolders ``tokenizer`` and ``text_encoder`` of a pipeline's folder. Raises OSError if they are missing."""
    tokenizer = Tokenizer.from_str((folder / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))
    # built by hand, because transformers' own loading draws a progress bar into every log
    bert = BertModel(BertConfig.from_pretrained(folder / "text_encoder", local_files_only=True), add_pooling_layer=False)
    weights = load_file(folder / "text_encoder" / "model.safetensors")
    bert.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return WordEncoder(tokenizer, bert, device)

"""The text encoder's teacher: MiniLM's vector of every token of a text, kept in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertModel

from maquette_backend.priors.starter.training.minilm import TEXT_SIZE, minilm_folder

MOST_TOKENS = 32
"""Texts are cut there, [CLS] and [SEP] included; the picture network sees as many."""
_TOKENS_PER_BATCH = 4096


@dataclass(frozen=True)
class TaughtTexts:
    """N tokenised texts, one after another, and what the teacher makes of each of their T tokens."""

    tokens: Tensor
    """[T] int64."""
    starts: Tensor
    """[N+1] int64: text n's tokens are starts[n]:starts[n+1]."""
    vectors: Tensor
    """[T,384] float16: the teacher's last hidden state."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B,L] (0 where there is none), mask [B,L] bool, teacher's vectors [B,L,384] float32."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        place = torch.arange(int(lengths.max()))
        mask = place < lengths[:, None]
        source = torch.where(mask, self.starts[rows, None] + place, 0)
        return self.tokens[source] * mask, mask, self.vectors[source].float()


def load_tokenizer() -> Tokenizer:
    """MiniLM's tokenizer without padding, cutting at ``MOST_TOKENS``."""
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS)
    return tokenizer


def load_teacher() -> BertModel:
    """MiniLM in bfloat16, three times as fast on a CPU that has it and right to a cosine of 0.9999."""
    teacher = BertModel.from_pretrained(minilm_folder(), add_pooling_layer=False, dtype=torch.bfloat16)
    return teacher.eval().requires_grad_(False)


def teach(teacher: BertModel, texts: Sequence[Sequence[int]]) -> TaughtTexts:
    """Runs the teacher over tokenised texts (``[CLS] … [SEP]``), those of like length together."""
    lengths = torch.tensor([len(text) for text in texts])
    starts = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    tokens = torch.tensor([token for text in texts for token in text])
    taught = TaughtTexts(tokens, starts, torch.zeros(len(tokens), TEXT_SIZE, dtype=torch.float16))
    order = lengths.argsort(stable=True)
    first = 0
    while first < len(order):
        length = int(lengths[order[first]])
        count = int((lengths[order[first : first + max(1, _TOKENS_PER_BATCH // length)]] == length).sum())
        places = starts[order[first : first + count], None] + torch.arange(length)
        with torch.inference_mode():
            hidden = teacher(tokens[places]).last_hidden_state
        taught.vectors[places] = hidden.half()
        first += count
    return taught

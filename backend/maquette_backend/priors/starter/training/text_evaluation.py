"""How well the text encoder repeats its teacher: on texts it did not learn from, and on words of no catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor
from transformers import BertModel

from maquette_backend.priors.starter.training.text_teacher import load_tokenizer

_BATCH = 128


@dataclass(frozen=True)
class Agreement:
    """Student against teacher on one kind of text."""

    cosine: float | None
    """Mean cosine of the student's text vector, through its training map, to the teacher's; None without a map."""
    spearman: float
    """Rank correlation of both's cosines between all pairs of texts, the student's without any map."""


@torch.no_grad()
def text_vectors(encoder: BertModel, texts: Sequence[str]) -> Tensor:
    """Mean over each text's tokens, its marks included: [texts,C] float32, not normalised."""
    tokenizer = load_tokenizer()
    tokenizer.enable_padding()
    parts: list[Tensor] = []
    for start in range(0, len(texts), _BATCH):
        encodings = tokenizer.encode_batch(list(texts[start : start + _BATCH]))
        mask = torch.tensor([encoding.attention_mask for encoding in encodings])
        tokens = torch.tensor([encoding.ids for encoding in encodings])
        hidden = encoder(tokens, attention_mask=mask).last_hidden_state.float()
        weight = mask[..., None].float()
        parts.append((hidden * weight).sum(1) / weight.sum(1))
    return torch.cat(parts)


@torch.no_grad()
def agreement(
    student: BertModel, teacher: BertModel, texts: Sequence[str], to_teacher: torch.nn.Linear | None = None
) -> Agreement:
    """Both figures on ``texts``."""
    own, taught = text_vectors(student, texts), text_vectors(teacher, texts)
    cosine = None if to_teacher is None else F.cosine_similarity(to_teacher(own), taught).mean().item()
    pairs = tuple(torch.triu_indices(len(texts), len(texts), 1))
    ranks = [rankdata(_cosines(vectors, vectors)[pairs].numpy()) for vectors in (own, taught)]
    return Agreement(cosine, float(np.corrcoef(ranks)[0, 1]))


def nearest(encoder: BertModel, words: Sequence[str], nouns: Sequence[str], count: int = 3) -> list[list[str]]:
    """For each word the ``count`` nearest of ``nouns``, the word itself left out."""
    near: Tensor = _cosines(text_vectors(encoder, words), text_vectors(encoder, nouns))
    for row, word in enumerate(words):
        near[row, [column for column, noun in enumerate(nouns) if noun == word]] = -1
    best: list[list[int]] = near.topk(count).indices.tolist()
    return [[nouns[column] for column in row] for row in best]


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    return F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T

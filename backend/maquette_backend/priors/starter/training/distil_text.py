"""Makes the starter prior's text encoder: ``python -m maquette_backend.priors.starter.training.distil_text``.

A two-layer BERT of width 128 learns from MiniLM (all-MiniLM-L6-v2) by knowledge distillation (Hinton et al. 2015;
Jiao et al. 2020, "TinyBERT"). Its word vectors begin as the principal components of what the teacher says of each
single word piece (Model2Vec, Tulkens & van Dongen 2024), so that words it never meets in training mean something
too; then its vectors, through a linear map that is not shipped, have to give the teacher's vector of every token
in context and of the whole text, and its own angles between texts have to be the teacher's.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from maquette_backend.priors.starter.training.minilm import TEXT_SIZE
from maquette_backend.priors.starter.training.text_corpus import CorpusSizes, build_corpus
from maquette_backend.priors.starter.training.text_evaluation import agreement
from maquette_backend.priors.starter.training.text_teacher import (
    MOST_TOKENS,
    TaughtTexts,
    load_teacher,
    load_tokenizer,
    teach,
)

_DEFAULT_CACHE = Path(".cache/prior")
_CLS, _SEP = 101, 102
_BATCHES_AT_ONCE = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistilConfig:
    """All settings of a run but its time."""

    width: int = 128
    layers: int = 2
    heads: int = 2
    inner: int = 512
    positions: int = 64
    batch_size: int = 256
    learning_rate: float = 1.5e-3
    warm_up: float = 0.02
    """Share of the run over which the rate rises; it falls by a cosine over the rest."""
    weight_decay: float = 0.01
    """Of the layers only: word vectors that no text touches must stay what they are."""
    pooled_weight: float = 1.0
    angle_weight: float = 3.0
    seed: int = 0


class Student(nn.Module):
    """The encoder, and the map from its vectors to the teacher's, which only training needs."""

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.to_teacher = nn.Linear(encoder.config.hidden_size, TEXT_SIZE)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens, mask [B,L] → the encoder's last hidden state [B,L,128]."""
        return self.encoder(tokens, attention_mask=mask.long()).last_hidden_state.float()


def single_tokens(vocabulary: int) -> list[list[int]]:
    """Every word piece as a text of its own."""
    return [[_CLS, token, _SEP] for token in range(vocabulary)]


def start_student(words: Tensor, config: DistilConfig) -> Student:
    """A student whose word vectors are the principal components of ``words`` [V,384], one row for each word piece."""
    torch.manual_seed(config.seed)
    encoder = BertModel(
        BertConfig(
            vocab_size=len(words),
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.inner,
            max_position_embeddings=config.positions,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
        add_pooling_layer=False,
    )
    encoder.set_attn_implementation("eager")  # on short texts the fused kernel takes a third of a step
    with torch.no_grad():
        encoder.embeddings.word_embeddings.weight.copy_(principal_components(words, config.width))
    # The last normalisation stays plain: every token's vector has mean 0 and variance 1, whatever is learned.
    encoder.get_submodule(f"encoder.layer.{config.layers - 1}.output.LayerNorm").requires_grad_(False)
    return Student(encoder).train()


def principal_components(vectors: Tensor, count: int) -> Tensor:
    """[N,C] → [N,count]: centred, projected on the directions of greatest variance, overall variance 1.

    A random rotation (of torch's current seed) then spreads the variance over all features alike, as the layers'
    normalisation expects.
    """
    centred = vectors - vectors.mean(0)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    rotation, _ = torch.linalg.qr(torch.randn(count, count))
    projected = centred @ axes[:, -count:] @ rotation
    return projected / projected.std()


def losses(student: Student, batch: tuple[Tensor, Tensor, Tensor], config: DistilConfig) -> dict[str, Tensor]:
    """The three parts and their weighted sum, "all"; batch as ``TaughtTexts.batch`` gives it."""
    tokens, mask, targets = batch
    hidden = student(tokens, mask)
    weight = mask[..., None].float()
    said = F.normalize(student.to_teacher(hidden).float(), dim=-1)
    token = 1 - (said * F.normalize(targets, dim=-1)).sum(-1)[mask].mean()
    own, taught = pool(hidden, weight), F.normalize(pool(targets, weight), dim=-1)
    pooled = 1 - (F.normalize(student.to_teacher(own).float(), dim=-1) * taught).sum(-1).mean()
    direction = F.normalize(own, dim=-1)
    angle = F.mse_loss(direction @ direction.T, taught @ taught.T)
    total = token + config.pooled_weight * pooled + config.angle_weight * angle
    return {"all": total, "token": token, "pooled": pooled, "angle": angle}


def pool(hidden: Tensor, weight: Tensor) -> Tensor:
    """Mean over a text's tokens: hidden [B,L,C], weight [B,L,1] → [B,C]."""
    return (hidden * weight).sum(1) / weight.sum(1)


def distil(
    student: Student,
    taught: TaughtTexts,
    config: DistilConfig,
    progress: Callable[[int], float],
    after_step: Callable[[int, dict[str, Tensor]], None] = lambda _step, _losses: None,
) -> None:
    """Trains until ``progress(step)`` reaches 1."""
    draw = torch.Generator().manual_seed(config.seed)
    optimizer = _optimizer(student, config)
    step = 0
    batches = draw_batches(taught, config.batch_size, draw)
    while (share := progress(step)) < 1:
        rise = min(1.0, (share + 1e-3) / config.warm_up)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
        batch = taught.batch(next(batches))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts = losses(student, batch, config)
        optimizer.zero_grad(set_to_none=True)
        parts["all"].backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        step += 1
        after_step(step, parts)


def draw_batches(taught: TaughtTexts, size: int, draw: torch.Generator) -> Iterator[Tensor]:
    """Rows [size] without end, texts of like length together: nearly nothing is spent on padding."""
    lengths = taught.starts.diff()
    while True:
        rows = torch.randint(len(taught), (size * _BATCHES_AT_ONCE,), generator=draw)
        batches = rows[lengths[rows].argsort(stable=True)].unflatten(0, (_BATCHES_AT_ONCE, size))
        yield from batches[torch.randperm(_BATCHES_AT_ONCE, generator=draw)]


def save_encoder(student: Student, encoder_folder: Path, tokenizer_folder: Path) -> None:
    """Weights in half precision and the tokenizer's files, as the ``transformers`` library reads them."""
    encoder = student.encoder
    encoder.half().save_pretrained(encoder_folder)
    encoder.float()
    # Loaded in full precision unless asked otherwise: a CPU is slow in half.
    path = encoder_folder / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) | {"dtype": "float32"}
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    save_tokenizer(tokenizer_folder)


def save_tokenizer(folder: Path) -> None:
    """MiniLM's own word pieces; texts are cut at ``MOST_TOKENS``."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer()
    tokenizer.no_truncation()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": MOST_TOKENS} | special
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=_DEFAULT_CACHE, help="keeps the downloaded texts")
    parser.add_argument("--out", type=Path, help="gets text_encoder/ and tokenizer/; CACHE/text if not given")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, after the teacher's own minutes")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    _run(DistilConfig(), arguments.cache, arguments.out or arguments.cache / "text", arguments.minutes * 60)


def _run(config: DistilConfig, cache: Path, out: Path, secs: float) -> None:
    corpus = build_corpus(cache, CorpusSizes(), config.seed)
    tokenizer, teacher = load_tokenizer(), load_teacher()
    words = single_tokens(tokenizer.get_vocab_size())
    texts = [encoding.ids for encoding in tokenizer.encode_batch(list(corpus.training))]
    _log.info("the teacher reads %d texts and %d word pieces", len(texts), len(words))
    taught = teach(teacher, words + texts)
    alone = taught.vectors[taught.starts[: len(words)] + 1]  # between [CLS] and [SEP]
    student = start_student(alone.float(), config)
    begin = time.monotonic()
    distil(student, taught, config, lambda _step: (time.monotonic() - begin) / secs, _report)
    save_encoder(student, out / "text_encoder", out / "tokenizer")
    _log.info("done: %s", out)
    reader = teacher.float()
    for kind, held_out in corpus.held_out.items():
        _log.info("held-out %s texts: %s", kind, agreement(student.encoder, reader, held_out, student.to_teacher))


def _optimizer(student: Student, config: DistilConfig) -> torch.optim.Optimizer:
    words = student.encoder.embeddings.word_embeddings.weight
    others = [parameter for parameter in student.parameters() if parameter.requires_grad and parameter is not words]
    groups = [
        {"params": [words], "weight_decay": 0.0},
        {"params": others, "weight_decay": config.weight_decay},
    ]
    return torch.optim.AdamW(groups, config.learning_rate, betas=(0.9, 0.98), fused=True)


def _report(step: int, parts: dict[str, Tensor]) -> None:
    if step % 200 == 0:
        _log.info("step %d %s", step, " ".join(f"{name} {loss.item():.4f}" for name, loss in parts.items()))


if __name__ == "__main__":
    main()

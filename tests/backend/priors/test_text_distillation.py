"""The text encoder's distillation: its corpus, its beginning, that it learns, and the files it leaves."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from maquette_backend.priors.starter.training.distil_text import (
    DistilConfig,
    Student,
    distil,
    draw_batches,
    losses,
    principal_components,
    save_encoder,
    start_student,
)
from maquette_backend.priors.starter.training.text_corpus import Corpus, CorpusSizes, mix_corpus, prompt, prompt_words
from maquette_backend.priors.starter.training.text_evaluation import agreement, nearest
from maquette_backend.priors.starter.training.text_teacher import TaughtTexts, load_teacher, load_tokenizer, teach
from maquette_backend.priors.starter.training.wordnet import parse_synsets
from safetensors import safe_open
from transformers import AutoModel, AutoTokenizer, BertModel

_DATA = """\
  1 This software and database is being provided to you
00001740 06 n 02 couch 0 day_bed(a) 0 000 | a narrow bed; a seat for several ("she sat"); "he lay on the couch"
00001930 03 n 01 thing 0 000 | a separate entity
"""
CONFIG = DistilConfig(batch_size=16)
SIZES = CorpusSizes(prompts=150, artifact_texts=3, general_texts=3, held_out=20)


@pytest.fixture(scope="module")
def teacher() -> BertModel:
    return load_teacher()


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return mix_corpus(["sofa", "table"], ["a red sofa"], list(parse_synsets(_DATA)), SIZES, seed=3)


@pytest.fixture(scope="module")
def taught(teacher: BertModel, corpus: Corpus) -> TaughtTexts:
    return teach(teacher, [encoding.ids for encoding in load_tokenizer().encode_batch(list(corpus.training))])


@pytest.fixture
def student(teacher: BertModel) -> Student:
    # The teacher's word table stands in for its reading of every word piece, which takes it a minute.
    return start_student(teacher.embeddings.word_embeddings.weight.float(), CONFIG)


@pytest.fixture
def folders(student: Student, tmp_path: Path) -> tuple[Path, Path]:
    save_encoder(student, tmp_path / "text_encoder", tmp_path / "tokenizer")
    return tmp_path / "text_encoder", tmp_path / "tokenizer"


def test_wordnet_lines_are_read_by_their_format() -> None:
    couch, thing = parse_synsets(_DATA)
    assert couch.words == ("couch", "day bed")
    assert couch.artifact
    assert couch.examples == ("she sat", "he lay on the couch")
    assert not thing.artifact
    assert thing.definition == "a separate entity"


def test_the_corpus_is_the_same_for_a_seed_and_shows_nothing_that_is_held_out(corpus: Corpus) -> None:
    meanings = list(parse_synsets(_DATA))
    again = mix_corpus(["sofa", "table"], ["a red sofa"], meanings, SIZES, seed=3)
    other = mix_corpus(["sofa", "table"], ["a red sofa"], meanings, SIZES, seed=4)
    assert again == corpus != other
    held_out = {text for texts in corpus.held_out.values() for text in texts}
    assert len(held_out) >= SIZES.held_out
    assert not held_out & set(corpus.training)
    assert len(set(corpus.training)) == len(corpus.training)
    assert {"a red sofa", "sofa", "table"} <= set(corpus.training)


def test_every_prompt_names_its_object() -> None:
    rng, words = random.Random(0), prompt_words()
    assert all("gnomon" in prompt(rng, words, ["gnomon"]) for _ in range(300))


def test_the_teacher_reads_a_text_as_the_library_does_alone(taught: TaughtTexts, corpus: Corpus) -> None:
    reference = load_teacher().float()
    for row in (0, 7, len(taught) - 1):
        tokens = load_tokenizer().encode(corpus.training[row]).ids
        with torch.no_grad():
            expected = reference(torch.tensor([tokens])).last_hidden_state
        found_tokens, mask, found = taught.batch(torch.tensor([row]))
        assert found_tokens[0].tolist() == tokens
        assert mask.all()
        assert torch.cosine_similarity(found, expected, dim=-1).min() > 0.998


def test_batches_hold_whole_texts_and_little_padding(taught: TaughtTexts) -> None:
    batches = draw_batches(taught, 16, torch.Generator().manual_seed(0))
    masks = [taught.batch(next(batches))[1] for _ in range(32)]
    assert sum(mask.sum().item() for mask in masks) > 0.9 * sum(mask.numel() for mask in masks)
    rows = torch.arange(len(taught))
    assert taught.batch(rows)[1].sum() == len(taught.tokens)


def test_principal_components_keep_the_distances_of_flat_data() -> None:
    torch.manual_seed(0)
    flat = torch.randn(200, 5) @ torch.linalg.qr(torch.randn(20, 20))[0][:5] + 3
    found = principal_components(flat, 8)
    expected = torch.cdist(flat, flat)
    ratio = torch.cdist(found, found)[expected > 0.5] / expected[expected > 0.5]
    assert found.std().item() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), atol=0, rtol=2e-3)


def test_a_short_run_brings_the_student_nearer_to_its_teacher(
    student: Student, teacher: BertModel, taught: TaughtTexts, corpus: Corpus
) -> None:
    everything = taught.batch(torch.arange(len(taught)))
    with torch.no_grad():
        before = losses(student, everything, CONFIG)
        unmet = student.encoder.embeddings.word_embeddings.weight[29000].clone()
    words_before = agreement(student.encoder, teacher, corpus.held_out["furniture"], student.to_teacher)
    distil(student, taught, CONFIG, lambda step: step / 60)
    with torch.no_grad():
        after = losses(student, everything, CONFIG)
    words_after = agreement(student.encoder, teacher, corpus.held_out["furniture"], student.to_teacher)
    assert after["all"] < 0.6 * before["all"]
    assert words_before.cosine is not None
    assert words_after.cosine is not None
    assert words_after.cosine > words_before.cosine + 0.3
    # A word piece of no text keeps its beginning.
    assert 29000 not in taught.tokens
    assert torch.equal(student.encoder.embeddings.word_embeddings.weight[29000], unmet)


def test_runs_repeat_for_a_seed(teacher: BertModel, taught: TaughtTexts) -> None:
    words = teacher.embeddings.word_embeddings.weight.float()
    runs = [start_student(words, CONFIG) for _ in range(2)]
    for run in runs:
        distil(run, taught, CONFIG, lambda step: step / 3)
    for first, second in zip(runs[0].parameters(), runs[1].parameters(), strict=True):
        torch.testing.assert_close(first, second)


def test_the_library_loads_the_folders_by_themselves(student: Student, folders: tuple[Path, Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folders[1], local_files_only=True)
    encoder = AutoModel.from_pretrained(folders[0], add_pooling_layer=False, local_files_only=True).eval()
    assert tokenizer.is_fast
    assert type(encoder) is BertModel
    assert next(encoder.parameters()).dtype == torch.float32
    texts = ["a red sofa", "", "☃ 🦄", "wardrobe " * 5000]
    tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=32, return_tensors="pt")
    assert tokens["input_ids"].shape == (4, 32)
    own = load_tokenizer()
    assert [own.encode(text).ids for text in texts] == [
        row[mask.bool()].tolist() for row, mask in zip(tokens["input_ids"], tokens["attention_mask"], strict=True)
    ]
    with torch.no_grad():
        hidden = encoder(tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state
        expected = student.eval()(tokens["input_ids"], tokens["attention_mask"].bool())
    torch.testing.assert_close(hidden, expected, atol=0.02, rtol=0)
    # The last normalisation is plain, so every token's 128 features have mean 0 and variance 1.
    torch.testing.assert_close(hidden.mean(-1), torch.zeros(4, 32), atol=1e-4, rtol=0)
    torch.testing.assert_close(hidden.var(-1, correction=0), torch.ones(4, 32), atol=1e-3, rtol=0)


@torch.no_grad()
def test_padding_leaves_the_words_alone(student: Student) -> None:
    tokens = torch.tensor([load_tokenizer().encode("an old oak table").ids])
    short = student(tokens, torch.ones_like(tokens).bool())
    padded = torch.nn.functional.pad(tokens, (0, 32 - tokens.shape[1]))
    long = student(padded, padded > 0)
    torch.testing.assert_close(long[:, : tokens.shape[1]], short, atol=1e-5, rtol=0)


def test_the_files_are_small_plain_and_in_half_precision(folders: tuple[Path, Path]) -> None:
    files = [file for folder in folders for file in folder.iterdir()]
    assert {file.suffix for file in files} == {".json", ".safetensors"}
    assert sum(file.stat().st_size for file in files) <= 10_000_000
    with safe_open(folders[0] / "model.safetensors", "pt") as weights:
        assert {str(weights.get_tensor(name).dtype) for name in weights.keys()} == {"torch.float16"}  # noqa: SIM118


def test_the_nearest_noun_is_never_the_word_itself(teacher: BertModel) -> None:
    found = nearest(teacher, ["couch", "automobile"], ["couch", "sofa", "car", "lamp"], count=1)
    assert found == [["sofa"], ["car"]]


def test_a_network_agrees_fully_with_itself_and_less_with_another(student: Student, teacher: BertModel) -> None:
    texts = [f"a {color} {noun}" for color in ("red", "blue", "oak") for noun in ("sofa", "lamp", "dog")]
    assert agreement(teacher, teacher, texts).spearman == pytest.approx(1)
    assert agreement(student.encoder, teacher, texts).spearman < 0.95

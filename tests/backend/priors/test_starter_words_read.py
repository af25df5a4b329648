"""Whole texts by the small BERT: their vectors, and how much of them fits. With an untrained one, for form only."""

from __future__ import annotations

import pytest
import torch
from maquette_backend.priors.prior import ReadsPrompts
from maquette_backend.priors.starter.folder import LoadedFolder
from maquette_backend.priors.starter.network import NetworkConfig, build_network
from maquette_backend.priors.starter.starter_prior import StarterPrior
from maquette_backend.priors.starter.words import TOKENS, WordEncoder
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "chair", "table", "with", "legs", "dragon"]
TEXTS = ["a red chair", "dragon", "a table with legs", "", "  a red chair "]


@pytest.fixture(scope="module")
def words() -> WordEncoder:
    tokenizer = Tokenizer(WordPiece({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    marks = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)  # type: ignore[assignment]
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    bert = BertModel(BertConfig(vocab_size=len(WORDS), **sizes), add_pooling_layer=False)
    return WordEncoder(tokenizer, bert, torch.device("cpu"))


def test_a_texts_vector_is_the_direction_of_the_mean_of_its_own_token_vectors(words: WordEncoder) -> None:
    tokens = words.encode(TEXTS)
    for row, text, vector in zip(tokens, TEXTS, words.text_vectors(TEXTS), strict=True):
        count = sum(piece != "[PAD]" for piece in words.token_texts(text))
        torch.testing.assert_close(vector, torch.nn.functional.normalize(row[:count].mean(0), dim=-1))


def test_a_texts_vector_does_not_depend_on_its_company(words: WordEncoder) -> None:
    together = words.text_vectors([*TEXTS, "chair " * 60])
    for text, vector in zip(TEXTS, together[: len(TEXTS)], strict=True):
        torch.testing.assert_close(vector, words.text_vectors([text])[0])


def test_thirty_words_fit_and_the_rest_is_told_and_has_no_effect(words: WordEncoder) -> None:
    whole = " ".join(["chair"] * (TOKENS - 2))
    assert words.chars_read(whole) == len(whole)
    assert words.chars_read(f" {whole} dragon dragon") == len(whole)
    torch.testing.assert_close(words.encode([whole]), words.encode([f"{whole} dragon dragon"]))


def test_the_joint_prior_judges_by_them(words: WordEncoder) -> None:
    folder = LoadedFolder(build_network(NetworkConfig(channels=(16, 24, 32), embedding_size=32)), words, "0" * 64)
    told = StarterPrior(folder, torch.device("cpu"), ["chair", "table"])
    assert isinstance(told, ReadsPrompts)
    found = told.familiarity("a red chair with legs")
    assert found is not None
    assert (found.nearest, found.verdict) == ("chair", "known")
    assert found.similarity == pytest.approx(1.0, abs=1e-5)
    assert told.chars_read("a chair") == 7
    assert StarterPrior(folder, torch.device("cpu")).familiarity("a chair") is None

"""Sentence vectors: held against the transformers library, and what the prior relies on."""

from __future__ import annotations

import pytest
import torch
from maquette_backend.priors.starter.text import TextEncoder, minilm_folder

TEXTS = [
    "a red sofa",
    "a very old wooden chair with a thick cushion, living room",
    "Lamp",
    "cafe\u0301 table (1920s) №7",
]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(minilm_folder(), torch.device("cpu"))


@torch.no_grad()
def test_vectors_equal_those_of_the_reference_library(encoder: TextEncoder) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = str(minilm_folder())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    tokens = tokenizer(TEXTS, padding=True, return_tensors="pt")
    weight = tokens["attention_mask"][..., None].float()
    pooled = (model(**tokens).last_hidden_state * weight).sum(1) / weight.sum(1)
    expected = torch.nn.functional.normalize(pooled, dim=-1)
    torch.testing.assert_close(encoder.encode(TEXTS), expected, atol=2e-6, rtol=0)


def test_vectors_are_unit_and_the_empty_text_is_zero(encoder: TextEncoder) -> None:
    vectors = encoder.encode([*TEXTS, "", "   "])
    torch.testing.assert_close(vectors.norm(dim=1), torch.tensor([1.0, 1, 1, 1, 0, 0]))


def test_a_text_has_one_vector_whatever_its_company() -> None:
    together = TextEncoder(minilm_folder(), torch.device("cpu")).encode(TEXTS)
    for text, expected in zip(TEXTS, together, strict=True):
        alone = TextEncoder(minilm_folder(), torch.device("cpu")).encode([text])[0]
        torch.testing.assert_close(alone, expected, atol=2e-6, rtol=0)


def test_meaning_is_near_in_angle(encoder: TextEncoder) -> None:
    couch, sofa, lamp = encoder.encode(["couch", "sofa", "lamp"])
    assert couch @ sofa > couch @ lamp + 0.3


def test_a_very_long_text_is_cut_and_still_a_unit_vector(encoder: TextEncoder) -> None:
    assert encoder.encode(["chair " * 5000]).norm().item() == pytest.approx(1, abs=1e-5)


def test_many_texts_do_not_pile_up_and_keep_their_order(encoder: TextEncoder) -> None:
    before = encoder.encode(TEXTS)
    encoder.encode([f"chair {number}" for number in range(300)])
    assert torch.equal(encoder.encode(TEXTS[::-1]), before.flip(0))

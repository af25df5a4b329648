"""The bytes of every message are frozen: what was sent yesterday is read tomorrow, and the other way round.

After an intended change of the format: ``python tests/protocol/test_protocol_golden.py`` writes them anew.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from maquette_protocol.codec import MESSAGES, Envelope, decode, encode
from maquette_protocol.messages import JobStatus
from maquette_protocol.recipe_text import recipe_hash
from protocol_samples import RECIPE, SAMPLES

GOLDEN = Path(__file__).parent / "golden" / "messages.json"
GOLDEN_1_0 = GOLDEN.with_name("messages_1_0.json")
GOLDEN_1_1 = GOLDEN.with_name("messages_1_1.json")
GOLDEN_1_2 = GOLDEN.with_name("messages_1_2.json")
GOLDEN_1_3 = GOLDEN.with_name("messages_1_3.json")
GOLDEN_1_4 = GOLDEN.with_name("messages_1_4.json")
GOLDEN_1_5 = GOLDEN.with_name("messages_1_5.json")
"""What older versions sent; never written again."""


def _hex(envelope: Envelope) -> list[str]:
    return [bytes(frame).hex() for frame in encode(envelope)]


def _golden() -> dict[str, list[str]]:
    return json.loads(GOLDEN.read_text())


def test_every_message_has_a_sample() -> None:
    assert [type(sample.message).__name__ for sample in SAMPLES] == list(MESSAGES)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample.message).__name__)
def test_bytes_are_golden(sample: Envelope) -> None:
    assert _hex(sample) == _golden()[type(sample.message).__name__]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample.message).__name__)
def test_golden_bytes_are_read(sample: Envelope) -> None:
    frames = [bytes.fromhex(frame) for frame in _golden()[type(sample.message).__name__]]
    read = decode(frames)
    assert (read.message, read.seq, read.re) == (sample.message, sample.seq, sample.re)
    assert list(read.arrays) == list(sample.arrays)
    for name, array in sample.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array, strict=True)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample.message).__name__)
def test_what_version_1_0_sent_is_read_with_defaults(sample: Envelope) -> None:
    frames = json.loads(GOLDEN_1_0.read_text())[type(sample.message).__name__]
    message = sample.message
    expected = replace(message, readings=(), notices=()) if isinstance(message, JobStatus) else message
    assert decode([bytes.fromhex(frame) for frame in frames]).message == expected


OLDER = {"1.1": GOLDEN_1_1, "1.2": GOLDEN_1_2, "1.3": GOLDEN_1_3, "1.4": GOLDEN_1_4, "1.5": GOLDEN_1_5}


@pytest.mark.parametrize("older", OLDER.values(), ids=OLDER)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample.message).__name__)
def test_what_later_versions_sent_is_read_with_defaults(sample: Envelope, older: Path) -> None:
    frames = json.loads(older.read_text())[type(sample.message).__name__]
    message = sample.message
    if isinstance(message, JobStatus):
        uncut = tuple(replace(reading, cuts=()) for reading in message.readings)
        message = replace(message, readings=uncut, notices=())
    assert decode([bytes.fromhex(frame) for frame in frames]).message == message


def test_recipe_hash_is_golden() -> None:
    """The journal recognises a repeated job by it, also after an update."""
    assert recipe_hash(RECIPE) == _golden()["recipe_hash"][0] == json.loads(GOLDEN_1_0.read_text())["recipe_hash"][0]


if __name__ == "__main__":
    frozen = {type(sample.message).__name__: _hex(sample) for sample in SAMPLES}
    GOLDEN.write_text(json.dumps({**frozen, "recipe_hash": [recipe_hash(RECIPE)]}, indent=1) + "\n")

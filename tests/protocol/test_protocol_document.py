"""PROTOCOL.md says what the code does: messages, parts, errors, limits, the worked example."""

from __future__ import annotations

import dataclasses
import re
import typing
from pathlib import Path

import pytest
from maquette_protocol import limits, messages, recipe, version
from maquette_protocol.codec import Control, Envelope, PayloadSpec, decode, encode
from maquette_protocol.errors import ErrorCode
from maquette_protocol.messages import BackendMessage, ClientMessage, Ping

DOCUMENT = (Path(__file__).parents[2] / "protocol" / "PROTOCOL.md").read_text(encoding="utf-8")
PARTS = (
    recipe.ArrayRef, recipe.MeshRef, messages.SubjectResult, messages.SurfaceOrigin, messages.CutText, messages.PromptReading,
    messages.JobSummary,
    recipe.Subject, recipe.Locks, recipe.SurfaceMaps, recipe.ContextObject, recipe.Lamp, recipe.Lighting,
    recipe.Camera, recipe.CameraRig, recipe.Guidance, recipe.Times, recipe.FurtherPrior, recipe.Control,
    recipe.Stages, recipe.Recipe,
)  # fmt: skip


def _section(title: str) -> str:
    """The text under a heading, up to the next heading."""
    return re.split(r"^#+ ", DOCUMENT.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def _rows(title: str) -> list[list[str]]:
    """The cells of the first table in a section, without its head; ``\\|`` is no border."""
    lines = [line for line in _section(title).splitlines() if line.startswith("|")]
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in rows[2:] if not set("".join(row)) <= set("-")]


def _fields(kind: type) -> str:
    """A dataclass as the document writes it: ``name: type = default, …``."""
    return ", ".join(_field(field) for field in dataclasses.fields(kind))


def _field(field: dataclasses.Field) -> str:
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
        return f"{field.name}: {field.type} = {'{}' if default == {} else type(default).__name__ + '()'}"
    if field.default is dataclasses.MISSING:
        return f"{field.name}: {field.type}"
    said = "IDENTITY" if field.default == recipe.IDENTITY else repr(field.default)
    return f"{field.name}: {field.type} = {said}"


def _documented(title: str) -> list[tuple[str, str]]:
    return [(row[0].strip("`"), row[1].strip("`")) for row in _rows(title)]


@pytest.mark.parametrize(
    ("title", "union"), [("Client to backend", ClientMessage), ("Backend to client", BackendMessage)]
)
def test_messages(title: str, union: object) -> None:
    assert _documented(title) == [(kind.__name__, _fields(kind)) for kind in typing.get_args(union)]


def test_answers_are_those_in_the_docstrings() -> None:
    for name, _, _, answer in _rows("Client to backend"):
        said = re.search(r"Answered by ``(\w+)``", getattr(messages, name.strip("`")).__doc__ or "")
        if said:
            assert answer == f"`{said[1]}`"


def test_parts() -> None:
    assert _documented("5. Parts of messages") == [(part.__name__, _fields(part)) for part in PARTS]


@pytest.mark.parametrize("choices", [
    messages.JobState, messages.Stage, messages.Verdict, recipe.Mode, recipe.MaterialKind, recipe.LampKind,
    recipe.Method, recipe.Weighting, recipe.TimeChange,
])  # fmt: skip
def test_choices(choices: object) -> None:
    assert f"`{' '.join(typing.get_args(choices))}`" in re.sub(r"\s+", " ", DOCUMENT)


def test_control_frame() -> None:
    keys = re.findall(r"^\| `(\w+)` \|", _section("2. Frames"), flags=re.MULTILINE)
    control, spec = (tuple(field.name for field in dataclasses.fields(kind)) for kind in (Control, PayloadSpec))
    assert tuple(keys) == (*control, "body", *spec)


def test_errors() -> None:
    assert [code for code, _ in _documented("6. Errors")] == [code.value for code in ErrorCode]


def test_limits() -> None:
    numbers = {name: value for name, value in vars(limits).items() if name.isupper() and isinstance(value, int | float)}
    documented = {name: float(value) for name, value in _documented("7. Limits")}
    assert documented == {name: value for name, value in numbers.items() if name not in ("KIB", "MIB")}
    assert f"`{' '.join(limits.DTYPES)}`" in DOCUMENT


def test_limits_are_consistent() -> None:
    assert limits.MAX_RANGES <= limits.MAX_ITEMS, "any blob's missing ranges fit one message"
    assert max(limits.MAX_SUBJECTS, limits.MAX_CONTEXT, limits.MAX_CAMERAS, limits.MAX_LISTED_JOBS) <= limits.MAX_ITEMS
    assert limits.CHUNK_BYTES <= limits.MAX_PAYLOAD_BYTES
    assert max(24 * limits.MAX_TRIANGLES, 12 * limits.MAX_VERTICES) <= limits.MAX_BLOB_BYTES
    assert 3 * limits.MAX_TEXTURE_SIZE**2 <= limits.MAX_BLOB_BYTES
    assert limits.LIVENESS_SECS >= 4 * limits.PING_INTERVAL_SECS
    assert limits.LIVENESS_SECS <= 8
    assert limits.MAX_PROMPT_CHARS <= limits.MAX_TEXT_CHARS


def test_version() -> None:
    assert DOCUMENT.startswith(f"# The Maquette protocol, version {version.MAJOR}.{version.MINOR}\n")


def test_worked_example() -> None:
    block = _section("A worked example").split("```")[1]
    rows = [re.match(r"^(?:frame \d)? *((?:[0-9a-f]{2}(?: +|$))+)", line) for line in block.strip().splitlines()]
    runs = [bytes.fromhex(row[1].replace(" ", "")) for row in rows if row]
    frames = [runs[0], b"".join(runs[1:])]
    assert frames == encode(Envelope(Ping(7), 2))
    assert decode(frames) == Envelope(Ping(7), 2)

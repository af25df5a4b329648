"""House rules that a machine can hold: sizes of files and functions, docstrings, no traces of one machine."""

from __future__ import annotations

import pytest
from house_rules import MAX_FILE_LINES, MAX_FUNCTION_LINES, documented, line_count, long_functions, stray_words
from repository import files

SOURCES = files("*.py")
TEXTS = files()
PUBLIC = [
    item
    for path, source in SOURCES.items()
    if path.startswith(("backend/", "protocol/"))
    for item in documented(path, source)
]
LONG_FILES = {"tests/protocol/test_protocol_session.py": "one scenario a test, all on the same pair of sessions"}
LONG_FUNCTIONS: dict[str, str] = {}
"""Known exceptions, each with its reason."""
RULES = "tests/architecture/"
"""The rules' own files hold what they look for."""
TOP_LEVEL_FLOOR, METHOD_FLOOR = 0.95, 0.6
"""Shares that have a docstring. Methods that fill in an interface are explained there, and names may say enough."""


def test_no_file_is_too_long() -> None:
    long = {path for path, source in SOURCES.items() if line_count(source) > MAX_FILE_LINES}
    assert long - set(LONG_FILES) == set()


def test_no_function_is_too_long() -> None:
    found = {f"{path}:{name}" for path, source in SOURCES.items() for name, _ in long_functions(source)}
    assert found - set(LONG_FUNCTIONS) == set()


def test_exceptions_are_still_needed() -> None:
    assert [path for path in LONG_FILES if line_count(SOURCES.get(path, "")) <= MAX_FILE_LINES] == []


@pytest.mark.parametrize(("methods", "floor"), [(False, TOP_LEVEL_FLOOR), (True, METHOD_FLOOR)])
def test_public_names_are_explained(methods: bool, floor: float) -> None:
    asked = [item for item in PUBLIC if item.is_method == methods]
    missing = [item.name for item in asked if not item.has_docstring]
    assert len(asked) > 100
    assert 1 - len(missing) / len(asked) >= floor, missing


def test_no_trace_of_one_machine() -> None:
    found = [word for path, text in TEXTS.items() if not path.startswith(RULES) for word in stray_words(path, text)]
    assert found == []


def test_planted_lengths_are_caught() -> None:
    inner = "        pass\n" * MAX_FUNCTION_LINES
    assert list(long_functions(f"class A:\n    async def f(self):\n{inner}")) == [("f", MAX_FUNCTION_LINES + 1)]
    assert list(long_functions(f"@given(\n  1,\n)\ndef f():\n{inner}")) == [("f", MAX_FUNCTION_LINES + 1)]
    assert list(long_functions(f"def f():\n{inner[13:]}")) == []
    assert line_count("\n" * 401) == 401


def test_planted_gaps_in_docstrings_are_caught() -> None:
    source = '"""Module."""\nclass A:\n    """Class."""\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...\n'
    missing = [(item.name, item.is_method) for item in documented("a.py", source) if not item.has_docstring]
    assert missing == [("a.py:A.f", True), ("a.py:h", False)]
    assert [item.name for item in documented("b.py", "import os\n")] == ["b.py"]
    assert list(documented("__init__.py", "")) == []


@pytest.mark.parametrize(
    "text",
    [
        "see /work/x",
        "'/tmp/x'",
        "cd /work",
        "(/opt/x)",
        "file:///tmp/x",
        "a\npip install --index-url x",
        "https://pypi.org/simple",
    ],
)
def test_planted_traces_are_caught(text: str) -> None:
    (found,) = stray_words("a.md", text)
    assert found.startswith(f"a.md:{text.count(chr(10)) + 1}: ")


def test_relative_and_longer_paths_pass() -> None:
    assert stray_words("a.md", "out/work/x, $HOME/work, {root}/tmp, /tmpfs, /workers, PyPI's bpy, ../opt/x") == []

"""Sizes, docstrings and words that the house rules speak of, measured on source text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60

_MACHINE_PATHS = re.compile(r"(?:file://|(?<![\w./~}-]))/(?:work|tmp|root|opt)(?=[/\s\"'`)\]]|$)", re.MULTILINE)
"""Absolute paths of one machine. ``a/work`` and ``$HOME/work`` are not meant."""
_INDEX_HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs|anaconda\.org|--(?:extra-)?index-url|--find-links"
)
"""Which package index serves a machine is the machine's own setting."""


@dataclass(frozen=True)
class Documented:
    """A public name of a module and whether it has a docstring."""

    name: str
    has_docstring: bool
    is_method: bool


def line_count(source: str) -> int:
    """Lines of a file."""
    return len(source.splitlines())


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """(name, lines) of every function, methods and inner ones too, past the limit. A table in a decorator is no code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield node.name, lines


def documented(path: str, source: str) -> Iterator[Documented]:
    """The module and its public classes, functions and methods. A module without statements has nothing to explain."""
    tree = ast.parse(source)
    if tree.body:
        yield Documented(path, ast.get_docstring(tree) is not None, is_method=False)
    yield from _members(tree, path, inside_class=False)


def _members(node: ast.Module | ast.ClassDef, name: str, inside_class: bool) -> Iterator[Documented]:
    for member in node.body:
        if not isinstance(member, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or member.name[0] == "_":
            continue
        called = f"{name}:{member.name}" if not inside_class else f"{name}.{member.name}"
        yield Documented(called, ast.get_docstring(member) is not None, is_method=inside_class)
        if isinstance(member, ast.ClassDef):
            yield from _members(member, called, inside_class=True)


def stray_words(path: str, text: str) -> list[str]:
    """Paths of one machine and hosts of package indexes, as ``path:line: word``."""
    found = [*_MACHINE_PATHS.finditer(text), *_INDEX_HOSTS.finditer(text)]
    return [f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}" for match in found]

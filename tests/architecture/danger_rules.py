"""Constructs that run a stranger's code or open a port to strangers, found in source text."""

from __future__ import annotations

import ast
from collections.abc import Iterator

PICKLES = frozenset(
    {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
)
LOADERS = frozenset(
    {"torch.load", "torch.jit.load", "torch.hub.load", "builtins.eval", "builtins.exec", "pandas.read_pickle"}
)
TRUSTING_KEYWORDS = frozenset({"trust_remote_code", "allow_pickle"})
OPEN_TO_ALL = ("0.0.0.0", "tcp://*", "tcp://[::]")


def dangers(path: str, source: str) -> list[str]:
    """Every forbidden construct as ``path:line: what``. ``path`` is relative to the repository, with slashes."""
    tree = ast.parse(source)
    names = _bound_names(tree)
    found = [*_imports(tree), *_calls(tree, names), *_open_ports(path, tree)]
    return [f"{path}:{line}: {text}" for line, text in sorted(set(found))]


def _bound_names(tree: ast.AST) -> dict[str, str]:
    """Local name → what it stands for: ``import torch as th`` gives th → torch, ``from torch import load``, too."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        else:
            continue
        yield from (
            (node.lineno, f"{module}: pickle runs code") for module in modules if module.partition(".")[0] in PICKLES
        )


def _calls(tree: ast.AST, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and (full := _full_name(node, names)) in LOADERS:
            yield node.lineno, f"{full} runs code"
        if isinstance(node, ast.Name) and node.id in ("eval", "exec"):
            yield node.lineno, f"{node.id} runs text as code"
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                harmless = isinstance(keyword.value, ast.Constant) and keyword.value.value in (False, None)
                if keyword.arg in TRUSTING_KEYWORDS and not harmless:
                    yield keyword.value.lineno, f"{keyword.arg} may only be False"


def _full_name(node: ast.expr, names: dict[str, str]) -> str:
    """``th.load`` → ``torch.load``; empty for what is not a dotted name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute) and (base := _full_name(node.value, names)):
        return f"{base}.{node.attr}"
    return ""


def _open_ports(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Addresses that mean every network card. A test may hold them as bad input, but nobody may bind them."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    bound = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "").startswith("bind")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in prose:
            continue
        opens = [address for address in OPEN_TO_ALL if address in node.value]
        if opens and (not path.startswith("tests/") or id(node) in bound):
            yield node.lineno, f"{opens[0]} listens on every network"

"""The import rules of docs/architecture.md, as functions over a file's path and source text."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

BACKEND, PROTOCOL, ADDON = "backend/maquette_backend/", "protocol/maquette_protocol/", "blender_addon/"
BLENDER = frozenset({"bpy", "bmesh", "mathutils", "gpu", "bl_ext"})
BLENDER_SCRIPTS = ("tests/blender_addon/", "tests/end_to_end/", "tools/", "examples/", "benchmarks/blender_")
"""Where code that runs inside Blender may live, besides the add-on."""
ZMQ_IN_ADDON = frozenset({"blender_addon/connection.py", "blender_addon/wire.py"})
PROTOCOL_LIBRARIES = {"numpy": "", "msgpack": "protocol/maquette_protocol/codec.py"}
"""What the protocol may import besides the standard library, and the one file that may (empty: any)."""

BACKEND_ARROWS: dict[str, tuple[str, ...]] = {
    "fields": (),
    "surface": (),
    "priors": ("fields",),
    "render": ("fields", "surface"),
    "shape": ("fields",),
    "appearance": ("fields", "surface"),
    "guidance": ("fields", "priors"),
    "refine": ("fields", "surface", "priors", "render", "shape", "appearance", "guidance"),
    "server": ("workers.executor", "workers.local", "priors.catalogue"),
    "workers": ("server.blob_store", "server.home", "refine", "priors"),
    "ablate": ("priors", "guidance", "render", "appearance", "refine"),
    "cli": ("server", "workers", "refine", "priors"),
    "__main__": ("cli",),
    "__init__": (),
}
"""Part of the backend → what it may import of the others (a module's name stands for what is below it, too)."""


@dataclass(frozen=True)
class Import:
    """One imported module, by its absolute name."""

    module: str
    line: int
    level: int
    """Leading dots."""


def broken_rules(path: str, source: str) -> list[str]:
    """Every broken rule as ``path:line: what is wrong``. ``path`` is relative to the repository, with slashes."""
    rules = (_blender_rule, _torch_rule, _zmq_rule, _arrow_rule, _protocol_rule, _sideways_rule)
    found = [(use.line, text) for use in imports(path, source) for rule in rules if (text := rule(path, use))]
    return [f"{path}:{line}: {text}" for line, text in sorted(set(found))]


def imports(path: str, source: str) -> Iterator[Import]:
    """Every import of a file, those inside functions too. ``from a import b`` gives ``a`` and ``a.b``."""
    package = _dotted(path).rpartition(".")[0] if not path.endswith("__init__.py") else _dotted(path)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            yield Import(base, node.lineno, node.level)
            yield from (Import(f"{base}.{alias.name}", node.lineno, node.level) for alias in node.names)
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            yield Import(name, node.lineno, 0)


def _imported_by_call(node: ast.Call) -> str:
    """The module of ``import_module("a.b")`` and ``__import__("a.b")``, empty for other calls and relative names."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in ("import_module", "__import__") or not node.args:
        return ""
    name = node.args[0]
    literal = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""
    return "" if literal.startswith(".") else literal


def _dotted(path: str) -> str:
    """The module name of a file, with the import root taken off."""
    for root in ("backend/", "protocol/"):
        path = path.removeprefix(root)
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _top(use: Import) -> str:
    return use.module.partition(".")[0]


def _blender_rule(path: str, use: Import) -> str:
    allowed = path.startswith((ADDON, *BLENDER_SCRIPTS))
    return f"{_top(use)} outside Blender's code" if _top(use) in BLENDER and not allowed else ""


def _torch_rule(path: str, use: Import) -> str:
    barred = path.startswith((ADDON, PROTOCOL, BACKEND + "server/"))
    return "torch in a part that must do without" if barred and _top(use) in ("torch", "torchvision") else ""


def _zmq_rule(path: str, use: Import) -> str:
    if _top(use) != "zmq" or not path.startswith((ADDON, PROTOCOL, BACKEND)):
        return ""
    return "" if path in ZMQ_IN_ADDON or path.startswith(BACKEND + "server/") else "zmq outside connection and gateway"


def _arrow_rule(path: str, use: Import) -> str:
    """blender_addon → maquette_protocol ← maquette_backend, and the add-on through ``_protocol`` only."""
    top = _top(use)
    if path.startswith(PROTOCOL) and top in ("maquette_backend", "blender_addon"):
        return f"the protocol knows {top}"
    if path.startswith(BACKEND) and top == "blender_addon":
        return "the backend knows the add-on"
    if path.startswith(ADDON) and top == "maquette_backend":
        return "the add-on knows the backend"
    if path.startswith(ADDON) and top == "maquette_protocol" and path != ADDON + "_protocol.py":
        return "the add-on must write: from ._protocol import …"
    if path.startswith(ADDON) and top == "blender_addon" and not use.level:
        return "the add-on must use relative imports: installed, it has another name"
    return ""


def _protocol_rule(path: str, use: Import) -> str:
    """Relative imports inside (it is copied into the extension), and few libraries."""
    if not path.startswith(PROTOCOL) or (use.level and _top(use) == "maquette_protocol"):
        return ""
    top = _top(use)
    if top == "maquette_protocol":
        return "the protocol must use relative imports"
    only = PROTOCOL_LIBRARIES.get(top, "" if top in sys.stdlib_module_names else None)
    if only is None:
        return f"the protocol may not use {top}"
    return "" if only in ("", path) else f"{top} belongs in {only}"


def _sideways_rule(path: str, use: Import) -> str:
    """The backend's parts import each other along ``BACKEND_ARROWS`` only."""
    if not path.startswith(BACKEND) or not use.module.startswith("maquette_backend."):
        return ""
    part = path.removeprefix(BACKEND).partition("/")[0].removesuffix(".py")
    target = use.module.removeprefix("maquette_backend.")
    if part not in BACKEND_ARROWS:
        return f"{part} is not in the table of parts (BACKEND_ARROWS)"
    if target.partition(".")[0] == part or any(_leads_to(target, allowed) for allowed in BACKEND_ARROWS[part]):
        return ""
    return f"{part} may not import {target}"


def _leads_to(target: str, allowed: str) -> bool:
    """Whether ``target`` is ``allowed``, below it, or a package on the way to it (``from ..workers import local``)."""
    return f"{target}.".startswith(f"{allowed}.") or f"{allowed}.".startswith(f"{target}.")

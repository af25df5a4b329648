"""Which ways of distilling a score exist. Free of torch: the protocol and the command line read this list."""

from __future__ import annotations

from typing import get_args

from maquette_protocol.recipe import Method

__all__ = ["Method", "method_names"]


def method_names() -> tuple[Method, ...]:
    """Names that a recipe may ask for, the default first."""
    return get_args(Method)

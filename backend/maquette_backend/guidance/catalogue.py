"""Which ways of distilling a score exist. Free of torch: the protocol and the command line read this list."""

from __future__ import annotations

from typing import Literal, get_args

Method = Literal["sds", "csd", "vsd", "ism", "sjc"]


def method_names() -> tuple[Method, ...]:
    """Names that a recipe may ask for, the default first."""
    return get_args(Method)

"""Which models training may see. The list of the others is ``held_out.txt``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maquette_backend.priors.starter.training.captions import plain_name

_LIST = Path(__file__).parent / "held_out.txt"


def held_out_models() -> frozenset[tuple[str, str]]:
    """(archive, path) of every model that only the evaluation may use."""
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return frozenset((archive, path) for archive, _, path in pairs)


def with_unseen_names(names: Sequence[str], held_out: Sequence[bool]) -> list[bool]:
    """Marks the held-out models whose name no training model bears.

    A catalogue has many a "Chair". They differ, but some may be near-twins that leak from one side to the other;
    figures over the models marked here are free of that doubt.
    """
    trained = {plain_name(name) for name, out in zip(names, held_out, strict=True) if not out}
    return [out and plain_name(name) not in trained for name, out in zip(names, held_out, strict=True)]

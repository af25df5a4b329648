"""One measured line of a Budgets or Measure table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A measurement and what it was to be."""

    name: str
    """``area.quantity``."""
    value: float
    unit: str
    target: str
    """For people: ``<= 1``."""
    holds: bool
    how: str
    """What was run, in a sentence."""

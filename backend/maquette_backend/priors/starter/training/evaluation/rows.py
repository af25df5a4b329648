"""The table: a row per gate with its value and interval, as Markdown and as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BOOTSTRAPS = 2000
_NORMAL_QUANTILE = 1.959964
"""Of the standard normal distribution at 97.5 %."""


@dataclass(frozen=True)
class Row:
    """One measured figure."""

    what: str
    value: float
    low: float
    """Lower end of the 95 % interval; NaN where an interval means nothing."""
    high: float
    how: str
    target: float | None = None
    """The least value that holds; None for figures that explain others."""
    most: float | None = None
    """The greatest value that holds, for figures that must be small."""
    percent: bool = False
    """The value is a share and shown as per cent."""

    @property
    def verdict(self) -> str:
        """``holds``, ``fails``, or empty without a target."""
        if self.target is None and self.most is None:
            return ""
        enough = self.target is None or self.value >= self.target
        return "holds" if enough and (self.most is None or self.value <= self.most) else "fails"


def markdown(rows: Sequence[Row]) -> str:
    """The table as the model card shows it."""
    lines = ["| what | target | value | 95 % interval | | how |", "|---|---|---|---|---|---|"]
    for row in rows:
        target = "" if row.target is None else f"≥ {_shown(row.target, row, short=True)}"
        target += "" if row.most is None else f"≤ {_shown(row.most, row, short=True)}"
        interval = "" if math.isnan(row.low) else f"{_shown(row.low, row)} – {_shown(row.high, row)}"
        lines.append(f"| {row.what} | {target} | {_shown(row.value, row)} | {interval} | {row.verdict} | {row.how} |")
    return "\n".join(lines)


def bootstrap_ratio(wrong: NDArray[np.float64], right: NDArray[np.float64], seed: int) -> tuple[float, float, float]:
    """mean(wrong)/mean(right) over models [M], and the 95 % interval when models are drawn anew."""
    picks = np.random.default_rng(seed).integers(0, len(right), (_BOOTSTRAPS, len(right)))
    ratios = wrong[picks].mean(1) / right[picks].mean(1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    return float(wrong.mean() / right.mean()), float(low), float(high)


def bootstrap_mean(values: NDArray[np.float64], seed: int) -> tuple[float, float, float]:
    """Mean over groups [G] (models, prompts), and the 95 % interval when groups are drawn anew."""
    return bootstrap_ratio(values, np.ones_like(values), seed)


def wilson(hits: int, count: int) -> tuple[float, float, float]:
    """Share of independent trials, and its 95 % score interval (Wilson 1927). Raises ValueError without trials."""
    if count < 1:
        raise ValueError("a share needs at least one trial")
    share, z2 = hits / count, _NORMAL_QUANTILE**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _NORMAL_QUANTILE / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return share, max(0.0, middle - half), min(1.0, middle + half)


def _shown(value: float, row: Row, short: bool = False) -> str:
    if row.percent:
        return f"{100 * value:.0f} %" if short else f"{100 * value:.1f} %"
    return f"{value:g}" if short else f"{value:.3f}"

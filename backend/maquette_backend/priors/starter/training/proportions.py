"""Words for proportions, only where a model's box leaves no doubt."""

from __future__ import annotations

_TALL = {"cabinet": 2.0, "shelf": 2.0, "lamp": 3.5, "stool": 2.0, "chair": 2.4, "decoration": 2.5, "plant": 2.5}
"""From which height over the longer of width and depth a thing of a kind is tall."""
_LONG = {"table": 2.4, "desk": 2.6, "sofa": 2.5, "stool": 3.0}
"""From which width over depth (or depth over width) it is long."""
_LOW = {"table": 0.45, "cabinet": 0.55, "shelf": 0.6, "bed": 0.2}
_WIDE = {"cabinet": 1.8, "shelf": 1.8}
_NARROW = 0.42


def proportion_word(kind: str, extent: tuple[float, float, float]) -> str:
    """ "tall", "long", "low", "wide", "narrow" or empty; extent is width, height and depth."""
    width, height, depth = extent
    broad, deep = max(width, depth), max(min(width, depth), 1e-6)
    if kind in _TALL and height / max(broad, 1e-6) >= _TALL[kind]:
        return "narrow" if kind in _WIDE and width / height < _NARROW else "tall"
    if kind in _LONG and broad / deep >= _LONG[kind]:
        return "long"
    if kind in _LOW and height / max(broad, 1e-6) <= _LOW[kind]:
        return "wide" if kind in _WIDE and width / max(height, 1e-6) >= _WIDE[kind] else "low"
    return ""

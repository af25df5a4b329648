"""Which priors exist. Free of torch: the gateway reads this list to greet clients."""

from __future__ import annotations

STARTER = "starter"
STARTER_VIEWS = "starter-4-views"
"""The same, looking at four views of a subject together."""


def prior_names() -> tuple[str, ...]:
    """Names that a recipe may ask for, the default first."""
    return (STARTER,)

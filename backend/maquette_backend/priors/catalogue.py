"""Which priors exist. Free of torch: the gateway reads this list to greet clients."""

from __future__ import annotations

STARTER = "starter"


def prior_names() -> tuple[str, ...]:
    """Names that a recipe may ask for, the default first."""
    return (STARTER,)

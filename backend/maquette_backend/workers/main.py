"""The worker process: ``python -m maquette_backend.workers.main``. Started by the gateway, never by hand.

It speaks over its standard input and output. Before anything else is imported the real ones are moved out of reach,
so that a library that prints can't break the channel.
"""

from __future__ import annotations

import os
import sys


def _take_channel() -> tuple[int, int]:
    """Move the channel to private descriptors; what libraries print goes to standard error."""
    orders, reports = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return orders, reports


if __name__ == "__main__":
    _descriptors = _take_channel()
    if hasattr(os, "nice"):
        os.nice(5)  # the gateway answers pings on the same cores

    # torch reads this when it loads: threads that spin while they wait starve whatever shares the cores with them
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from maquette_backend.workers.process import main

    main(*_descriptors)

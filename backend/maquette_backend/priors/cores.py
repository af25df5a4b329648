"""How the processor's cores are shared out between the threads of a job."""

from __future__ import annotations

import os

import torch


def half_of_the_cores() -> int:
    """At least one."""
    return max(1, (os.cpu_count() or 1) // 2)


def share_cores() -> None:
    """Let torch use half of the cores for each operation.

    The steps of a job are many small operations: with every core on each, most of the time goes to threads waiting for
    each other (a step on two cores: 161 ms, with one 128). What can run side by side does so instead, on the other
    half: see ``priors.starter.starter_prior``.
    """
    torch.set_num_threads(half_of_the_cores())

"""Runs a real backend with a test's job function, and with faults that a command line must not offer."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import sys
import time
from pathlib import Path

from maquette_backend.server.serve import ServeOptions, serve


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--entry", default="fault_jobs:count_steps")
    parser.add_argument("--die-after-commit", type=int, default=0)
    parser.add_argument("--quota", type=int, default=2**30)
    parser.add_argument("--free-bytes", type=int, default=2**40)
    parser.add_argument("--write-secs", type=float, default=0.0, help="what each chunk's write takes")
    parser.add_argument("--no-space-at", type=int, nargs="*", default=[], help="these writes find the disk full")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    commits = 0

    def after_commit() -> None:
        nonlocal commits
        commits += 1
        if commits == chosen.die_after_commit:
            os.kill(os.getpid(), signal.SIGKILL)

    writes = 0

    def before_write() -> None:
        nonlocal writes
        time.sleep(chosen.write_secs)
        writes += 1
        if writes in chosen.no_space_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    serve(
        ServeOptions(
            chosen.home,
            entry=chosen.entry,
            quota_bytes=chosen.quota,
            after_commit=after_commit,
            free_bytes=lambda folder: chosen.free_bytes,
            before_write=before_write,
        )
    )
    assert "torch" not in sys.modules, "the gateway imported torch"


if __name__ == "__main__":
    main()

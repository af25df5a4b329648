"""Collects what nobody needs any more, at every start of a backend."""

from __future__ import annotations

from .blob_store import BlobStore
from .holdings import Holdings
from .journal import Journal

KEEP_SECS = 14 * 24 * 3600.0
"""Jobs that ended, and blobs that no unfinished job uses, stay this long."""


def tidy(journal: Journal, holdings: Holdings, store: BlobStore, in_use: frozenset[str], now_unix_secs: float) -> None:
    """Forget old jobs and old blobs; a blob's file goes with its last holder, and so do files that nobody holds."""
    journal.forget_before(now_unix_secs - KEEP_SECS)
    holdings.forget_before(now_unix_secs - KEEP_SECS, in_use)
    for file in store.folder.glob("??/*"):
        old = file.stat().st_mtime < now_unix_secs - KEEP_SECS
        if old and not holdings.is_held(file.name):
            file.unlink()
    for leftover in (*store.folder.glob("*.fresh"), *store.folder.glob("partial/*/*")):
        if leftover.stat().st_mtime < now_unix_secs - KEEP_SECS:
            leftover.unlink()

"""What a loaded model tells the artist whose job it works for: that it changed something so that the job could go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol, runtime_checkable

_LOG = logging.getLogger(__name__)


class Notices:
    """Sentences, each said once. What they say holds for good, so whoever listens later hears the earlier ones, too."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._listener: Callable[[str], None] | None = None

    def say(self, sentence: str) -> None:
        """Into the log, and to who listens."""
        _LOG.warning(sentence)
        if sentence not in self._said:
            self._said.append(sentence)
            if self._listener is not None:
                self._listener(sentence)

    @contextmanager
    def heard_by(self, listener: Callable[[str], None]) -> Iterator[None]:
        """Within it ``listener`` gets every sentence, those of before first."""
        for sentence in self._said:
            listener(sentence)
        self._listener = listener
        try:
            yield
        finally:
            self._listener = None


@runtime_checkable
class GivesNotice(Protocol):
    """What a prior or a ControlNet may have besides. Check with ``isinstance``."""

    @property
    def notices(self) -> Notices: ...


@runtime_checkable
class GivesWay(Protocol):
    """What can do with less memory, at the cost of time. Check with ``isinstance``."""

    @property
    def can_give_way(self) -> bool: ...

    def give_way(self) -> None:
        """One tier down, for good; says so. Only where ``can_give_way``."""
        ...


@contextmanager
def heard(speakers: Sequence[object], listener: Callable[[str], None]) -> Iterator[None]:
    """Within it ``listener`` gets what any of ``speakers`` says that says anything."""
    with ExitStack() as stack:
        for one in speakers:
            if isinstance(one, GivesNotice):
                stack.enter_context(one.notices.heard_by(listener))
        yield

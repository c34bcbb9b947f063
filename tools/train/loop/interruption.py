"""Ctrl-C and SIGTERM as requests that a loop looks at, so that it can end with a whole checkpoint."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Self

import click

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 2.0
"""Seconds."""


class StopRequest:
    """While it is open, the first SIGINT or SIGTERM sets `made` instead of ending the process; a later one ends it.

    Signals within PATIENCE of the first are the same request: `torchrun` passes on what a terminal sends to all. Does
    nothing outside the main thread, which is the only one that signals reach, and leaves ignored signals ignored.
    """

    def __init__(self) -> None:
        self.made = False
        self._since = 0.0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for each in SIGNALS:
                before = signal.getsignal(each)
                if before not in (signal.SIG_IGN, None):
                    self._before[each] = before
                    signal.signal(each, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for each, before in self._before.items():
            signal.signal(each, before)  # type: ignore[arg-type]
        self._before = {}

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if not self.made:
            self.made, self._since = True, time.monotonic()
            click.echo("\nstopping after this step; once more to stop at once, without a checkpoint", err=True)
        elif time.monotonic() - self._since > PATIENCE:
            self.__exit__()
            signal.raise_signal(number)

"""Work for test_processes.py, in a module of its own so that other processes find it; nothing heavy is imported."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from gopseg.processes import Talk, shared_cores


def doubled(number: int, talk: Talk) -> tuple[int, str | None, int | None]:
    """Twice the number, after saying it, with the threads and cores to keep to; some numbers end otherwise."""
    talk.send(number)
    if number == 13:
        raise ValueError("thirteen")
    if number == 99 or (number == 77 and not Path("killed").exists()):
        Path("killed" if number == 77 else "lost").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number, os.environ.get("OMP_NUM_THREADS"), shared_cores()


def until_stopped(_: int, talk: Talk) -> str:
    """Runs until it is told to stop."""
    talk.send("begun")
    try:
        while True:
            talk.check()
            time.sleep(0.01)
    except KeyboardInterrupt:
        return "stopped"

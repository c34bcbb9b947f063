"""Work for tests, in a module of its own so that other processes find it."""

from __future__ import annotations

import os
import signal

import torch

from gopseg.pipelines.stream.jobs.tasks import Result, Task, do_task
from gopseg.processes import Talk

torch.set_num_threads(1)


def killed_once(task: Task, talk: Talk) -> Result:
    """`do_task`, but the first process to do the second part is killed after some frames."""
    if task.part is not None and task.part.number == 1:
        assert task.folder is not None
        mark = task.folder.parent / "killed"
        if not mark.exists():
            mark.touch()
            return do_task(task, _Killing(talk))
    return do_task(task, talk)


class _Killing:
    def __init__(self, talk: Talk) -> None:
        self._talk, self._left = talk, 5

    def send(self, message: object) -> None:
        self._talk.send(message)

    def check(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

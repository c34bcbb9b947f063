"""Of the whole suite: its order, and the runtime of its networks.

Files that take longest come first, so that both of its processes end together. Tests run networks in torch unless they
ask for another runtime: its results are compared bit by bit. Ctrl-C works in them, also in a shell's background.
"""

from __future__ import annotations

import os
import signal

import pytest

os.environ["GOPSEG_RUNTIME"] = "torch"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts its background jobs so, and children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = (
    "train/test_processes.py",
    "pretended/test_pretended_device.py",
    "tests/test_packaging.py",
    "motion/test_signals.py",
    "segnet/test_battery.py",
    "motion/test_keyframe_warp.py",
    "evaluate/test_evaluate.py",
    "stream/test_segment_stream.py",
    "jobs/test_corpus.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`--dist loadfile` hands files out as they come (with `--no-loadscope-reorder`, else those of one test last)."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}

    def rank(item: pytest.Item) -> int:
        return next((ranks[name] for name in LONGEST if item.path.as_posix().endswith(name)), len(LONGEST))

    items.sort(key=rank)

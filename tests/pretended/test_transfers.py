"""What is copied between the processor and an accelerator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_of_a_frame_one_byte_a_pixel_comes_back() -> None:
    root = HERE.parents[1]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, str(HERE / "transfers.py")],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["copies"] == [["to", [90, 118, 3]], ["from", [90, 118]]]
    assert found["dtype"] == "uint8"
    assert found["equal"]
    assert found["full"]

"""`import gopseg`: light, and with what a user needs behind it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gopseg

HEAVY = ("torch", "cv2", "av", "numpy", "click", "tqdm", "skimage", "PIL", "safetensors")


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_is_light() -> None:
    """Counted in modules, as a busy machine's clock says nothing: gopseg, lazy_loader, and what that needs."""
    code = "import sys; before = set(sys.modules); import gopseg; print(*sorted(set(sys.modules) - before))"
    loaded = fresh(code).split()
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)
    assert len([name for name in loaded if name.startswith("gopseg")]) == 1
    assert len(loaded) < 60, loaded


def test_errors_and_files_are_light_too() -> None:
    code = "import sys; import gopseg; gopseg.GopsegError; import gopseg.files; print(*sys.modules)"
    assert not {name.partition(".")[0] for name in fresh(code).split()} & set(HEAVY)


@pytest.mark.parametrize("name", ["segment", "open_video", "load_network", "as_segmentation_network", "GopsegError"])
def test_names(name: str) -> None:
    assert name in dir(gopseg)
    assert name in gopseg.__all__
    assert callable(getattr(gopseg, name))


def test_reading_a_video_needs_no_torch() -> None:
    assert fresh("import sys, gopseg; gopseg.open_video; print('torch' in sys.modules)") == "False\n"

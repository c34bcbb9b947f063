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


NO_WINDOWS = """
import sys
class Finder:
    def find_spec(self, name, *_):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
sys.meta_path.insert(0, Finder())
import gopseg, gopseg.codec, gopseg.data, gopseg.packages
for face, name in ((gopseg, "segment"), (gopseg.codec, "open_video"), (gopseg.data, "Sample")):
    try:
        getattr(face, name)
    except gopseg.packages.PackageError as error:
        print(isinstance(error, gopseg.GopsegError), str(error).count(chr(10)), "opencv-python-headless" in str(error))
"""


def test_opencv_that_needs_a_screen_is_told_in_a_line() -> None:
    assert fresh(NO_WINDOWS).splitlines() == ["True 0 True"] * 3

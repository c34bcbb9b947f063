"""`benchmark-codec warp`: that it measures and reports, on a pan that every encoding follows."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from click.testing import CliRunner

from gopseg.tools.benchmark.codec.warp import ENCODINGS
from gopseg.tools.benchmark.main import codec as main


def test_report(tmp_path: Path) -> None:
    world = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (96, 220, 3)).astype(np.uint8), (0, 0), 2)
    for index in range(10):
        cv2.imwrite(str(tmp_path / f"{index}.png"), world[:, 4 * index : 4 * index + 128])
    done = CliRunner().invoke(main, ["warp", str(tmp_path), "--streets", "0", "--gop", "6"], catch_exceptions=False)
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    (clip,) = report["clips"].values()
    assert set(clip) == set(ENCODINGS)
    for kind, found in clip.items():
        assert found["psnr_db"] == report["psnr_db_mean"][kind]
        assert 25 < found["psnr_db"] < 60
        assert 0 <= found["lost_share"] < 0.3
        error = 255**2 / 10 ** (found["psnr_db"] / 10)
        assert abs(found["error_lost"] + found["error_elsewhere"] - error) < 0.02 + 0.002 * error
    assert report["least_against_one_reference_db"]["one_reference"] == 0


def test_nothing_to_measure() -> None:
    done = CliRunner().invoke(main, ["warp", "--streets", "0"])
    assert (done.exit_code, done.stderr) == (2, "Error: nothing to measure; give a SOURCE, or --streets\n")

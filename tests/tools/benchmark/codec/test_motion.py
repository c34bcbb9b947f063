"""`benchmark-codec motion`: lengths and PSNR of known motion."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gopseg.codec import EncodeSettings
from gopseg.codec.writing.pictures import pictures_of_images
from gopseg.codec.writing.transcoding import transcode
from gopseg.tools.benchmark.main import codec as main


@pytest.fixture(scope="module")
def panned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pixels a frame (3 right, 4 down) over a smooth grey texture, GOPs of 4."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (200, 220)), (0, 0), 2.5)
    world = np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
    images = [np.ascontiguousarray(world[4 * i : 4 * i + 128, 3 * i : 3 * i + 160]) for i in range(8)]
    path = tmp_path_factory.mktemp("pan") / "pan.mp4"
    transcode(pictures_of_images(images, "pan", Fraction(15)), path, EncodeSettings(gop=4, bitrate_bps=3_000_000))
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["motion", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_known_motion(panned: Path) -> None:
    status, output, _ = run(panned, panned, "--distances", "1,3")
    assert status == 0
    found = json.loads(output)
    assert found["sources"] == 2
    one, three = found["distances"]
    assert (one["distance"], three["distance"], one["frames"]) == (1, 3, 4)
    assert one["motion_px_p50"] == pytest.approx(5, abs=0.6)
    assert three["motion_px_p50"] == pytest.approx(15, abs=1.8)
    assert one["warp_psnr_db"] > one["repeat_psnr_db"] + 8
    assert three["warp_psnr_db"] > three["repeat_psnr_db"] + 5
    assert three["warp_by_every_field_psnr_db"] == three["warp_psnr_db"], "no checkpoint so near"


def test_bad_use(panned: Path) -> None:
    for arguments, text in (
        ((panned, "--distances", "9"), "so far from its keyframe"),
        ((panned, "--distances", "x"), "no numbers"),
        ((panned.parent / "no.mp4",), "no.mp4"),
    ):
        status, _, errors = run(*arguments)
        assert status == 2
        assert text in errors

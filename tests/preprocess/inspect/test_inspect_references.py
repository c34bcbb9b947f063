"""`preprocess inspect --references`: motion of streams whose vectors point to several pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import Result

Command = Callable[..., Result]


def test_motion_a_frame_is_the_camera_s(inspect: Command, foreign: Callable[[str], Path]) -> None:
    """It moves 3 right and 2 down a frame, wherever vectors point."""
    for name in ("bframes", "references"):
        content = json.loads(inspect(foreign(name), "--references", "--json", "--frames").stdout)
        assert content["schema_version"] == 3
        assert content["motion_px_mean"] == pytest.approx(13**0.5, abs=0.3)
        assert 0.5 < content["confidence_mean"] <= 1
        assert 0.1 < content["previous_share"] < 0.9
        for frame in content["frames"]:
            assert (frame["motion_px_mean"] is None) == (frame["pict_type"] == "I")
            assert frame["novelty"] is None  # pictures were decoded for the references only
    plain = json.loads(inspect(foreign("bframes"), "--json").stdout)
    assert (plain["motion_px_mean"], plain["previous_share"], plain["confidence_mean"]) == (None, None, None)
    assert (plain["intra_share"], plain["cuts"]) == (content_of(inspect, foreign)["intra_share"], [])


def content_of(inspect: Command, foreign: Callable[[str], Path]) -> dict[str, Any]:
    return dict(json.loads(inspect(foreign("bframes"), "--references", "--json").stdout))


def test_the_last_line_says_what_vectors_mean(
    inspect: Command, foreign: Callable[[str], Path], corpus_video: Path
) -> None:
    assert "(--references finds out to which)" in inspect(foreign("bframes")).stdout.splitlines()[-1]
    found = inspect(foreign("bframes"), "--references").stdout.splitlines()[-1]
    assert found.startswith("motion      to several frames, found with a confidence of ")
    assert "of the area to the frame before" in found
    with_references, without = (inspect(corpus_video, *more).stdout for more in (("--references",), ()))
    assert with_references == without


def test_mpeg4_says_what_is_missing(inspect: Command, make: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"bf": "2"})
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 96, 128, "yuv420p", 4_000_000
        for image in make.moving(13):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    assert "not usable" in inspect(path).stdout.splitlines()[-1]
    assert "; none of B-frames: the stream has B-frames" in inspect(path, "--references").stdout.splitlines()[-1]


def test_references_are_of_our_reader(inspect: Command, corpus_video: Path) -> None:
    result = inspect(corpus_video, "--references", "--reader", "mvextractor")
    assert (result.exit_code, "--references is for --reader av" in result.stderr) == (2, True)

"""Novelty, cuts and the other signals of frames, on clips where they are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gopseg.codec import MotionField, open_video
from gopseg.codec.motion.residual import block_energy, residual_of
from gopseg.codec.motion.signals import CUT_ABOVE, SignalReader, Signals, novelty_of


def signals_of(path: Path, **options: Any) -> list[Signals]:
    reader = SignalReader()
    with open_video(path, qp=True, **options) as video:
        return [reader.update(frame) for frame in video]


@pytest.fixture(scope="module")
def two_scenes(make: Any) -> list[np.ndarray]:
    """Scenes of 10, 9 and 11 frames, so that no cut falls on a GOP of 12."""
    return (
        make.sliding(144, 176, 10, (2, 1), 1)
        + make.sliding(144, 176, 9, (-3, 0), 2)
        + make.sliding(144, 176, 11, (0, 2), 3)
    )


@pytest.mark.parametrize(
    ("codec", "profile", "container"),
    [
        ("libx264", "ippp", "mp4"),
        ("libx264", "bframes", "mp4"),
        ("libx264", "references", "mp4"),
        ("ffv1", None, "mkv"),
    ],
)
def test_cuts_are_found_and_nothing_else(
    make: Any, two_scenes: list[np.ndarray], codec: str, profile: str | None, container: str
) -> None:
    path = make.clip(f"cuts-{codec}-{profile}.{container}", two_scenes, codec=codec, profile=profile)
    signals = signals_of(path)
    assert [s.index for s in signals if s.is_cut] == [10, 19]
    assert signals[0].novelty == 1
    assert signals[0].is_cut is False
    for s in signals[1:]:
        assert s.novelty is not None
        assert s.novelty > 0.9 if s.is_cut else s.novelty < 0.3


def test_a_cut_on_a_keyframe_is_told_from_a_keyframe(make: Any) -> None:
    frames = make.sliding(144, 176, 24, (3, 2), 1) + make.sliding(144, 176, 12, (3, 2), 2)
    signals = signals_of(make.clip("cut-on-key.mp4", frames, profile="ippp"))
    assert [s.pict_type for s in signals[12::12]] == ["I", "I"]
    assert [s.index for s in signals if s.is_cut] == [24]


def test_each_signal_is_what_it_says(sliding_clip: Path) -> None:
    reader = SignalReader()
    before: np.ndarray | None = None
    with open_video(sliding_clip, qp=True) as video:
        for frame in video:
            signals = reader.update(frame)
            assert (signals.pict_type, signals.packet_bytes) == (frame.pict_type, frame.packet_bytes)
            assert frame.qp is not None
            assert np.array_equal(signals.qp, frame.qp)
            assert signals.intra is not None
            assert signals.intra.shape == (18, 22)
            if before is not None:
                assert signals.motion is not None
                assert np.array_equal(signals.residual, residual_of(frame.luma, before, signals.motion))
                assert signals.residual is not None
                assert np.array_equal(signals.energy, block_energy(signals.residual))
                assert signals.macroblock_energy == pytest.approx(
                    signals.energy.reshape(9, 2, 11, 2).mean((1, 3)), rel=1e-4
                )
                assert signals.frame_energy == pytest.approx(signals.energy.mean(), rel=1e-4)
                assert signals.novelty == novelty_of(frame.luma, signals.energy)
            if frame.motion is None:
                assert signals.intra.all()
            else:
                field = MotionField.from_vectors(frame.motion)
                assert np.array_equal(signals.motion.displacement, field.displacement)
                assert np.array_equal(signals.intra, field.unreferenced)
            before = frame.luma


def test_novelty_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    luma = rng.integers(0, 256, (20, 28), dtype=np.uint8)
    luma[:8] = 90  # flat: only noise is allowed for
    energy = rng.uniform(0, 5000, (3, 4)).astype(np.float32)
    shares = [
        min(1.0, energy[i, j] / (luma[8 * i : 8 * i + 8, 8 * j : 8 * j + 8].astype(np.float64).var() + 36))
        for i in range(3)
        for j in range(4)
    ]
    assert novelty_of(luma, energy) == pytest.approx(np.mean(shares), rel=1e-4)


def test_novelty_grows_with_what_is_new(make: Any) -> None:
    first, second = make.texture(160, 160, 1), make.texture(160, 160, 2)
    novelties = []
    for rows in (0, 40, 80, 120):
        changed = first.copy()
        changed[:rows] = second[:rows]
        path = make.clip(f"part-{rows}.mkv", [first, changed], codec="ffv1", pix_fmt="yuv420p")
        novelties.append(signals_of(path)[1].novelty)
    assert novelties == pytest.approx([0, 0.25, 0.5, 0.75], abs=0.07)


def test_without_pixels_predicted_frames_are_judged_by_intra_blocks(make: Any, two_scenes: list[np.ndarray]) -> None:
    path = make.clip("cuts-libx264-ippp.mp4", two_scenes, profile="ippp")
    signals = signals_of(path, pixels=False)
    assert [s.index for s in signals if s.is_cut] == [10, 19]
    assert [s.index for s in signals if s.is_cut is None] == [0, 12, 24]
    assert all(s.novelty is None and s.residual is None and s.energy is None for s in signals)
    assert all(s.frame_energy is None and s.macroblock_energy is None for s in signals)


def test_blocks_that_point_forward_are_not_intra(make: Any) -> None:
    frames = make.sliding(144, 176, 24, (3, 2), 1)
    path = make.clip("forward.mp4", frames, options={"x264-params": "bframes=3:b-adapt=0:ref=1:scenecut=0"})
    shares = [s.intra_share for s in signals_of(path, pixels=False) if s.pict_type == "B"]
    assert shares
    assert max(share for share in shares if share is not None) < 0.1


def test_other_codecs_have_novelty_but_no_intra_map(make: Any) -> None:
    path = make.clip(
        "hevc.mp4", make.sliding(144, 176, 8, (3, 2)), codec="libx265", options={"x265-params": "log-level=none"}
    )
    signals = signals_of(path)
    assert signals[3].intra is None
    assert signals[3].intra_share is None
    assert signals[3].novelty is not None
    assert signals[3].novelty < CUT_ABOVE
    assert signals_of(path, pixels=False)[3].is_cut is None


def test_another_size_is_all_new(make: Any) -> None:
    reader = SignalReader()
    for size, cut in (((144, 176), False), ((96, 128), True)):
        path = make.clip(f"size-{size[0]}.mp4", make.sliding(*size, 3, (1, 1)), profile="ippp")
        with open_video(path) as video:
            first = reader.update(next(video))
            assert (first.novelty, first.is_cut) == (1, cut)
            assert reader.update(next(video)).is_cut is False


def test_the_real_film_has_two_cuts(shared_video: Path) -> None:
    reader = SignalReader()
    with open_video(shared_video / "bbb-720p.mp4") as video:
        assert [frame.index for frame in video if reader.update(frame).is_cut] == [210, 324]

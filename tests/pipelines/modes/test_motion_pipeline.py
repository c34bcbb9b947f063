from dataclasses import replace

import numpy as np
import pytest

from gopseg.codec import MotionAbsence, open_video
from gopseg.pipelines import MODES, upsample_labels

COLOUR_MODES = [mode for mode in MODES if mode != "clip"]  # that one needs a network of its own: test_clip_pipeline


def frames_of(clip):
    with open_video(clip) as video:
        return list(video)


def moving_square_at(x):
    rng = np.random.default_rng(0)
    image = np.clip(rng.integers(-12, 13, (64, 96, 1)) + 40, 0, 255).repeat(3, 2).astype(np.uint8)
    image[16:40, x : x + 24] = (230, 60, 60)
    return image


def truth(image):
    """The square's pixels, by colour."""
    return (image[..., 0] > 130).astype(np.uint8)


def errors(prediction, image):
    return np.count_nonzero(prediction.labels != truth(image))


@pytest.mark.parametrize("mode", COLOUR_MODES)
def test_labels_follow_the_square(mode, runner, square_clip, square_images):
    pipeline = MODES[mode].pipeline(runner)
    for frame, image in zip(frames_of(square_clip), square_images, strict=True):
        prediction = pipeline.step(frame)
        assert prediction.labels.shape == image.shape[:2]
        assert prediction.labels.dtype == np.uint8
        # 4x4 cells: the outline may be off by about a pixel, a square left behind would cost 48 pixels a frame
        assert errors(prediction, image) < 150, frame.index
        assert (prediction.index, prediction.pts, prediction.distance) == (frame.index, frame.pts, frame.index % 6)


def test_repeating_the_keyframe_would_not_do(runner, square_clip, square_images):
    first = MODES["frame"].pipeline(runner).step(frames_of(square_clip)[0])
    assert errors(first, square_images[5]) > 400


def test_the_network_sees_keyframes_only(runner, network, square_clip):
    predictions = list(MODES["motion"].pipeline(runner).run(frames_of(square_clip)))
    assert [p.from_network for p in predictions] == [i % 6 == 0 for i in range(12)]
    assert network.calls == 2
    assert "network" in predictions[0].timings
    assert "network" not in predictions[1].timings


@pytest.mark.parametrize("mode", COLOUR_MODES)
def test_run_equals_step(mode, runner, square_clip):
    frames = frames_of(square_clip)
    stepping = MODES[mode].pipeline(runner)
    stepped = [stepping.step(frame).labels for frame in frames]
    ran = [prediction.labels for prediction in MODES[mode].pipeline(runner).run(frames)]
    assert np.array_equal(stepped, ran)


@pytest.mark.parametrize("mode", COLOUR_MODES)
def test_skipped_frames_are_not_forgotten(mode, runner, network, square_clip):
    frames = frames_of(square_clip)
    whole = [prediction.labels for prediction in MODES[mode].pipeline(runner).run(frames)]
    network.calls = 0
    pipeline = MODES[mode].pipeline(runner)
    for frame in frames[:9]:
        pipeline.skip(frame)
    assert network.calls == 0, "no network for labels that nobody wants"
    first = pipeline.step(frames[9])
    if mode == "auto":  # which frames the network sees depends on what it saw before; the first is one of them
        assert first.from_network
    else:
        assert np.array_equal(first.labels, whole[9])
    assert network.calls == (mode != "lr"), "the LR branch is a network of its own"


def test_an_unmarked_cut_is_seen(runner, tmp_path, make_clip, square_images):
    blue = [np.full((64, 96, 3), (60, 60, 230), np.uint8)] * 3
    noise = [np.random.default_rng(i).integers(0, 256, (64, 96, 3), np.uint8) for i in range(1)]
    clip = make_clip(tmp_path / "cut.mp4", [*square_images[:3], *noise, *blue], gop=50)
    frames = frames_of(clip)
    assert [frame.pict_type for frame in frames] == ["I"] + ["P"] * 6
    predictions = list(MODES["motion"].pipeline(runner, refresh_above=0.3).run(frames))
    assert (predictions[-1].labels == 2).all()
    never = list(MODES["motion"].pipeline(runner, refresh_above=1.0).run(frames))
    assert not (never[-1].labels == 2).all(), "without it, the old scene would stay"


def test_frames_without_usable_vectors_go_to_the_network(runner, square_clip):
    frames = frames_of(square_clip)
    frames[2] = replace(frames[2], motion=None, motion_absence=MotionAbsence.B_FRAMES)
    frames[4] = replace(frames[4], motion_absence=MotionAbsence.REFERENCES)
    predictions = list(MODES["motion"].pipeline(runner).run(frames))
    assert [p.index for p in predictions if p.from_network] == [0, 2, 4, 6]


def test_logits_are_kept_on_demand(runner, square_clip):
    frames = frames_of(square_clip)[:2]
    assert all(p.logits is None for p in MODES["motion"].pipeline(runner).run(frames))
    kept = list(MODES["motion"].pipeline(runner, keep_logits=True).run(frames))
    assert [p.logits.shape for p in kept] == [(16, 24, 3)] * 2
    assert all(np.array_equal(upsample_labels(p.logits, 4, (64, 96)), p.labels) for p in kept[:1])
    assert np.allclose(np.exp(kept[1].logits).sum(2), 1, atol=1e-3), "carried: logarithms of probabilities"


def test_what_is_uncovered_is_not_the_thing_that_left(runner, tmp_path, make_clip):
    """The square jumps away in one frame: intra blocks where it was must not keep its label."""
    still = moving_square_at(8)
    away = moving_square_at(60)
    clip = make_clip(tmp_path / "jump.mp4", [still, away, away], gop=50)
    prediction = list(MODES["motion"].pipeline(runner, refresh_above=1.0).run(frames_of(clip)))[1]
    was = prediction.labels[16:40, 8:32]
    assert np.count_nonzero(was == 1) < 0.2 * was.size

"""Mode motion on streams with B-frames, several references and open GOPs, as they come."""

from dataclasses import replace

import numpy as np
import pytest

from gopseg.codec import open_video
from gopseg.pipelines import MODES

STREAMS = {
    "b-frames": {"bf": "3", "x264-params": "b-adapt=0:scenecut=0"},
    "references": {"bf": "0", "refs": "4", "x264-params": "scenecut=0"},
    "open": {"bf": "3", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"},
}


def frames_of(clip):
    with open_video(clip, references=True) as video:
        return list(video)


def errors(prediction, image):
    return np.count_nonzero(prediction.labels != (image[..., 0] > 130))


@pytest.fixture(params=STREAMS)
def foreign(request, tmp_path, make_clip, square_images):
    return frames_of(
        make_clip(tmp_path / "foreign.mp4", square_images, options={**STREAMS[request.param], "crf": "10"})
    )


def test_labels_follow_the_square(foreign, runner, network, square_images):
    predictions = list(MODES["motion"].pipeline(runner).run(foreign))
    for prediction, image in zip(predictions, square_images, strict=True):
        assert errors(prediction, image) < 130, prediction.index
    intra = [f.index for f in foreign if f.pict_type == "I"]
    assert [p.index for p in predictions if p.from_network] == intra
    assert network.calls == len(intra)  # once each, also where a later keyframe was needed before its turn


def test_skipped_frames_change_nothing(foreign, runner):
    whole = [p.labels for p in MODES["motion"].pipeline(runner).run(foreign)]
    pipeline = MODES["motion"].pipeline(runner)
    for frame in foreign:
        if frame.index % 3 == 1:
            assert np.array_equal(pipeline.step(frame).labels, whole[frame.index])
        else:
            pipeline.skip(frame)


def test_a_cut_between_keyframes_is_seen_once(tmp_path, make_clip, square_images, runner, network):
    cut = [*square_images[:4], *(255 - image[::-1] for image in square_images[:8])]
    options = {"bf": "2", "x264-params": "scenecut=0:b-adapt=0:b-pyramid=none", "crf": "10"}
    frames = frames_of(make_clip(tmp_path / "cut.mp4", cut, options=options, gop=12))
    assert [f.index for f in frames if f.pict_type == "I"] == [0]
    predictions = list(MODES["motion"].pipeline(runner).run(frames))
    seen = [p.index for p in predictions if p.from_network]
    first_reference = next(f.index for f in frames if f.index >= 4 and f.coded.is_reference)
    assert seen[0] == 0
    assert set(seen[1:]) <= set(range(4, first_reference + 1))
    assert first_reference in seen
    assert network.calls == len(seen)


def test_a_connection_that_comes_back_starts_anew(foreign, runner):
    """As `LiveVideo` numbers frames: on from the last, while references count within their own connection."""
    again = [replace(frame, index=frame.index + 5) for frame in foreign]
    alone = [p.labels for p in MODES["motion"].pipeline(runner, refresh_above=0.05).run(foreign)]
    joined = list(MODES["motion"].pipeline(runner, refresh_above=0.05).run([*foreign[:5], *again]))
    assert [p.index for p in joined] == list(range(17))
    assert all(np.array_equal(p.labels, labels) for p, labels in zip(joined[5:], alone, strict=True))

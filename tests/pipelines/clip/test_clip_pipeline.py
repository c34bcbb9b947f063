"""Mode clip on small streams: each frame encoded once, the same labels as whole clips."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="the extra segformer is not installed")

from gopseg.codec import open_video
from gopseg.pipelines import MODES, NetworkRunner, StreamUsageError
from gopseg.pipelines.clip import ClipPipeline
from gopseg.segnet import SwiftNet, build_network, save_model

CLASSES = ("ground", "red", "blue")


@pytest.fixture(scope="module")
def clip_network():
    torch.manual_seed(0)
    return build_network("mrcfa-b0", CLASSES).eval()


@pytest.fixture
def clip_runner(clip_network):
    return NetworkRunner(clip_network, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def clip_frames(square_clip):
    with open_video(square_clip) as video:
        return list(video)


@pytest.fixture
def encodings(clip_network, monkeypatch):
    """Counts the pictures that the backbone sees."""
    seen = []
    backbone = clip_network.backbone.forward
    monkeypatch.setattr(clip_network.backbone, "forward", lambda images: seen.append(len(images)) or backbone(images))
    return seen


def whole_clip(runner, frames):
    images = torch.stack([runner.network.normalise(torch.from_numpy(f.image)[None])[0] for f in frames])
    with torch.inference_mode():
        return runner.network.segment_clip(images[None])[0].permute(1, 2, 0).numpy()


def test_the_stream_gives_what_clips_give(clip_runner, clip_frames, encodings):
    pipeline = ClipPipeline(clip_runner, keep_logits=True, references="published")
    predictions = list(pipeline.run(clip_frames))
    assert encodings == [1] * 12
    early = {0: (), 1: (), 2: (), 3: (0, 1, 2), 5: (0, 2, 4), 8: (0, 3, 6), 9: (0, 3, 6), 11: (2, 5, 8)}
    for index, references in early.items():
        expected = whole_clip(clip_runner, [clip_frames[i] for i in (*references, index)])
        np.testing.assert_allclose(predictions[index].logits, expected, atol=1e-5)
        assert predictions[index].labels.shape == (64, 96)


def test_the_first_frame_is_its_own_reference(clip_runner, clip_frames):
    first = ClipPipeline(clip_runner, keep_logits=True).step(clip_frames[0])
    np.testing.assert_allclose(first.logits, whole_clip(clip_runner, [clip_frames[0]] * 2), atol=1e-5)


def test_skipped_frames_are_encoded_where_they_are_referred_to(clip_runner, clip_frames, encodings):
    pipeline = ClipPipeline(clip_runner, keep_logits=True, references="fixed")
    for frame in clip_frames[:10]:
        pipeline.skip(frame)
    assert encodings == []
    found = pipeline.step(clip_frames[10])
    assert len(encodings) == 4
    expected = whole_clip(clip_runner, [clip_frames[i] for i in (1, 4, 7, 10)])
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)


def test_guided_references_do_not_cross_a_cut(clip_runner, make_clip, square_images, tmp_path):
    rng = np.random.default_rng(5)
    other = [np.roll(rng.integers(0, 256, (64, 96, 3)).astype(np.uint8), 0, 1)] * 3
    file = make_clip(tmp_path / "cut.mp4", [*square_images[:5], *other], gop=100)
    with open_video(file, motion=True, qp=True) as video:
        frames = list(video)
    pipeline = ClipPipeline(clip_runner, keep_logits=True, references="guided")
    predictions = list(pipeline.run(frames))
    np.testing.assert_allclose(predictions[5].logits, whole_clip(clip_runner, [frames[5]] * 2), atol=1e-5)
    np.testing.assert_allclose(predictions[6].logits, whole_clip(clip_runner, frames[5:7]), atol=1e-5)
    assert "signals" in predictions[6].timings


def test_half_precision_stays_near(clip_network, clip_runner, clip_frames):
    half = NetworkRunner(clip_network, device="cpu", precision="bf16")
    found, expected = (
        list(ClipPipeline(runner, keep_logits=True).run(clip_frames[:5]))[-1].logits for runner in (half, clip_runner)
    )
    assert np.abs(found - expected).mean() < 0.05 * expected.std()


def test_memory_is_bounded(clip_runner, clip_frames):
    pipeline = ClipPipeline(clip_runner, references="fixed")
    for _ in range(3):
        for frame in clip_frames:
            pipeline.skip(frame)
    assert len(pipeline._kept) <= 10


def test_what_cannot_work_is_refused(clip_runner):
    assert isinstance(MODES["clip"].pipeline(clip_runner), ClipPipeline)
    with pytest.raises(StreamUsageError, match="needs an MRCFA network, not SwiftNet"):
        ClipPipeline(NetworkRunner(SwiftNet(CLASSES), device="cpu", precision="fp32"))
    with pytest.raises(StreamUsageError, match="--references near: unknown"):
        MODES["clip"].pipeline(clip_runner, references="near")


def test_the_command(stream, clip_network, square_clip, tmp_path):
    file = tmp_path / "clip.safetensors"
    save_model(clip_network, file, "mrcfa-b0", half=False)
    result = stream(square_clip, "--mode", "clip", "--save", "labels", "-o", "out.mp4", "--stats", "s.json", model=file)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out_labels").iterdir())) == 12
    assert json.loads((tmp_path / "s.json").read_text())["mode"] == "clip"
    guided = ("--mode", "clip", "--references", "guided", "--save", "labels", "--stats", "s.json", "-y")
    result = stream(square_clip, *guided, "-o", "guided.mp4", model=file)
    assert result.exit_code == 0, result.output
    assert "signals" in json.loads((tmp_path / "s.json").read_text())["stages_ms"]
    result = stream(square_clip, "--mode", "frame", "--references", "guided", "-o", "not.mp4", model=file)
    assert result.exit_code == 2
    assert "take --mode clip" in result.output

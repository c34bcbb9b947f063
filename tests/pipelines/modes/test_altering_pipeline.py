import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.codec import open_video
from gopseg.pipelines import MODES, NetworkRunner, StreamUsageError
from gopseg.pipelines.stream.main import main
from gopseg.segnet import (
    AlteringResolution,
    LowResolution,
    ModelError,
    SwiftNet,
    branch_file,
    build_fusion,
    load_ar,
    load_lr,
    load_network,
    save_branch,
    save_model,
)


def frames_of(clip):
    with open_video(clip) as video:
        return list(video)


@pytest.mark.parametrize("skipped", [(), (0,), (6,), (3, 4)])
def test_pushing_gives_the_labels_of_stepping_in_order(runner, square_clip, skipped):
    frames = frames_of(square_clip)
    stepping, pushing = MODES["ar"].pipeline(runner), MODES["ar"].pipeline(runner)
    stepped, pushed = [], []
    for frame in frames:
        if frame.index in skipped:
            stepping.skip(frame)
            pushing.skip(frame)
        else:
            stepped.append(stepping.step(frame))
            pushed += pushing.push(frame)
    pushed += pushing.flush()
    assert [p.index for p in pushed] == [p.index for p in stepped]
    for one, other in zip(stepped, pushed, strict=True):
        assert np.array_equal(one.labels, other.labels), one.index
        assert (one.occluded is None) == (other.occluded is None) == one.from_network
        assert one.from_network or np.array_equal(one.occluded, other.occluded)


def test_frames_between_keyframes_are_seen_by_the_branch_only(runner, network, square_clip):
    predictions = list(MODES["ar"].pipeline(runner).run(frames_of(square_clip)))
    assert [p.from_network for p in predictions] == [i % 6 == 0 for i in range(12)]
    assert network.calls == 2
    assert all({"motion", "fusion"} <= set(p.timings) for p in predictions if not p.from_network)


@pytest.mark.parametrize("source", ["dis", "none"])
def test_other_motion_and_an_interval(runner, network, square_clip, source):
    pipeline = MODES["ar"].pipeline(runner, flow_source=source, interval=4)
    predictions = list(pipeline.run(frames_of(square_clip)))
    assert [p.from_network for p in predictions] == [i % 4 == 0 for i in range(12)]
    assert network.calls == 3


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A random HR network with its branches beside it, and the branches."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "net.safetensors"
    hr = SwiftNet(("ground", "red", "blue"))
    save_model(hr, file, "swiftnet18")
    low = LowResolution(SwiftNet(hr.classes), 0.5)
    save_branch(low, branch_file(file, "lr", 0.5), "swiftnet18")
    ar = AlteringResolution(low, build_fusion("evidence", low))
    save_branch(ar, branch_file(file, "ar", 0.5), "swiftnet18", "evidence")
    return file, low, ar


@pytest.mark.parametrize("mode", ["lr", "ar"])
def test_branches_are_found_beside_the_weights(mode, weights, square_clip):
    runner = NetworkRunner(load_network(weights[0]), device="cpu", precision="fp32")
    frames = frames_of(square_clip)[:3]
    predictions = list(MODES[mode].pipeline(runner, keep_logits=True).run(frames))
    assert [p.logits.shape for p in predictions] == [(16, 24, 3)] * 3
    with pytest.raises(StreamUsageError, match=r"--lr-scale 0\.5"):
        MODES[mode].pipeline(runner, lr_scale=0.75)


def test_our_own_encodes_are_taken_as_they_are(weights, square_clip, tmp_path):
    stats = tmp_path / "s.json"
    common = ["--precision", "fp32", "--device", "cpu", "-o", str(tmp_path / "o.mp4"), "--stats", str(stats)]
    result = CliRunner().invoke(main, [str(square_clip), "--mode", "ar", "--model", str(weights[0]), *common])
    assert result.exit_code == 0, result.output
    facts = json.loads(stats.read_text())
    assert (facts["network_frames"], facts["reencoded"]) == (2, False)


def test_a_branch_comes_back_as_it_was_saved(weights):
    file, low, ar = weights
    for loaded, made in ((load_lr(branch_file(file, "lr", 0.5)), low), (load_ar(branch_file(file, "ar", 0.5)), ar)):
        for key, value in made.state_dict().items():
            torch.testing.assert_close(loaded.state_dict()[key].float(), value.half().float(), msg=key)
    with pytest.raises(ModelError, match="without fusion"):
        load_ar(branch_file(file, "lr", 0.5))
    with pytest.raises(ModelError, match="AR branch"):
        load_network(branch_file(file, "ar", 0.5))
    with pytest.raises(ModelError, match="no LR or AR branch"):
        load_ar(file)


def test_a_network_from_nowhere_has_no_branches(square_clip):
    runner = NetworkRunner(SwiftNet(3), device="cpu", precision="fp32")
    with pytest.raises(StreamUsageError, match="loaded from a file"):
        MODES["ar"].pipeline(runner)

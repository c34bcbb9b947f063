import itertools
import json
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch

from gopseg.codec import Frame, open_video
from gopseg.pipelines import MODES, NetworkRunner, StreamUsageError
from gopseg.pipelines.carriers.guided_head import sample_cells
from gopseg.pipelines.modes.building import HeadModel
from gopseg.pipelines.motion import FlowModel
from gopseg.pipelines.motion.flow_chain import FlowChain
from gopseg.segnet import (
    ModelError,
    PropagationModel,
    PropagationSettings,
    branch_file,
    load_network,
    save_model,
    save_propagation,
)
from gopseg.segnet.networks.swiftnet import SwiftNet
from gopseg.segnet.propagation.grid_frames import full_logits

CLASSES = ("ground", "red", "blue")
Flow, Guided = MODES["flow"].pipeline, MODES["guided"].pipeline


def frames_of(clip):
    with open_video(clip) as video:
        return list(video)


def of_picture(picture):
    return Frame(0, None, Fraction(1, 15), "P", False, 1, picture.shape[:2], load_image=lambda: picture)


def truth(image):
    return (image[..., 0] > 130).astype(np.uint8)


def seen(predictions):
    return [p.index for p in predictions if p.from_network]


def install(runner, **settings):
    """A fresh head of these settings as the runner's own."""
    torch.manual_seed(0)
    model = PropagationModel(PropagationSettings(classes=CLASSES, **{"width": 8, **settings})).eval()
    runner.adopt(HeadModel(), model)
    return model


def test_flow_is_followed_back_to_the_reference(runner):
    """A texture that moves (3, -2) pixels a frame: after 4 frames the way back is (-12, 8)."""
    noise = np.random.default_rng(0).integers(0, 256, (160, 200, 3), np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 3)
    texture = ((texture.astype(float) - texture.min()) * 255 / np.ptp(texture)).astype(np.uint8)
    pictures = [np.ascontiguousarray(texture[20 + 2 * i : 116 + 2 * i, 40 - 3 * i : 168 - 3 * i]) for i in range(5)]
    chain = FlowChain(runner, FlowModel("dis").make(runner))
    first, *others = (of_picture(picture) for picture in pictures)
    chain.restart(first)
    assert not chain.field().displacement.any()
    for frame in others:
        chain.advance(frame)
    inner = chain.field().displacement[6:-6, 6:-6]
    assert np.abs(inner - (-12, 8)).mean() < 0.5


@pytest.mark.parametrize("mode", ["flow", "guided"])
@pytest.mark.parametrize("interval", [None, 4])
def test_keyframes_are_the_streams_or_come_by_interval(mode, interval, runner, square_clip):
    frames = frames_of(square_clip)
    expected = {("flow", 4): [0, 4, 8], ("guided", 4): [0, 4, 6, 10]}.get((mode, interval), [0, 6])
    assert seen(MODES[mode].pipeline(runner, interval=interval).run(frames)) == expected


def test_codec_motion_as_the_flow_source_is_mode_motion(runner, square_clip):
    frames = frames_of(square_clip)
    flow, motion = Flow(runner, flow_source="motion"), MODES["motion"].pipeline(runner)
    assert flow.needs_motion
    assert not Flow(runner).needs_motion
    for frame in frames:
        assert np.array_equal(flow.step(frame).labels, motion.step(frame).labels)


def test_no_motion_repeats_the_keyframe(runner, square_clip):
    predictions = list(Flow(runner, flow_source="none").run(frames_of(square_clip)))
    assert all(np.array_equal(p.labels, predictions[1].labels) for p in predictions[2:6])
    assert np.mean(predictions[1].labels != predictions[0].labels) < 0.01, "probabilities between cells, not logits"
    assert not np.array_equal(predictions[7].labels, predictions[1].labels)


def test_a_cut_is_seen(runner, tmp_path, make_clip, square_images):
    blue = [np.full((64, 96, 3), (60, 60, 230), np.uint8)] * 3
    frames = frames_of(make_clip(tmp_path / "cut.mp4", [*square_images[:3], *blue], gop=50))
    predictions = list(Flow(runner).run(frames))
    assert seen(predictions) == [0, 3]
    assert (predictions[-1].labels == 2).all()
    assert seen(Flow(runner, refresh_above=1.0).run(frames)) == [0]


@pytest.mark.parametrize("source", ["nonesuch", "light", "dis:head.safetensors"])
def test_unknown_sources_are_refused(source, runner):
    with pytest.raises(StreamUsageError, match=f"--flow-source {source}: unknown; take dis, none, motion, or light:"):
        Flow(runner, flow_source=source)


FORMS = {
    "clean": {"stride": 4},
    "coarse": {"stride": 8},
    "recursive": {"stride": 4, "recursive": True},
    "dis": {"stride": 8, "flow": "dis"},
    "dis recursive": {"stride": 4, "flow": "dis", "recursive": True},
    "published": {
        "stride": 8,
        "corner_aligned": True,
        "probabilities": False,
        "native_keyframes": False,
        "flow": "dis",
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_a_fresh_head_follows_the_square_in_every_form(form, runner, square_clip, square_images):
    install(runner, **FORMS[form])
    frames = frames_of(square_clip)
    whole = list(Guided(runner, keep_logits=True).run(frames))
    assert seen(whole) == [0, 6]
    allowed = 150 if FORMS[form]["stride"] == 4 else 330
    errors = [np.count_nonzero(p.labels != truth(image)) for p, image in zip(whole, square_images, strict=True)]
    assert max(errors) < allowed, errors
    assert whole[5].logits.shape == (16, 24, 3)
    skipping = Guided(runner)
    for frame in frames[:5]:
        skipping.skip(frame)
    assert np.array_equal(skipping.step(frames[5]).labels, whole[5].labels)


def test_the_recursive_head_gives_what_its_steps_give(runner, network, square_clip):
    model = install(runner, stride=4, flow="dis", recursive=True)
    frames = frames_of(square_clip)[:4]
    images = [torch.from_numpy(frame.image)[None] for frame in frames]
    with torch.inference_mode():
        prepared = [model.prepare(image) for image in images]
        scores = model.start(network(network.normalise(images[0])), (64, 96))
        for before, now in itertools.pairwise(prepared):
            scores = model.step(scores, now, reference=before).scores
        labels = model.logits(scores, (64, 96)).argmax(1)[0].numpy()
    last = list(Guided(runner).run(frames))[-1]
    assert np.mean(last.labels != labels) < 0.001, "rounding alone"


def test_a_refining_photometric_head_follows_too_and_tells_what_is_occluded(runner, square_clip, square_images):
    for flow, recursive in (("motion", False), ("motion", True), ("dis", True), ("dis", False)):
        install(runner, stride=4, refining=True, photometric=True, flow=flow, recursive=recursive)
        predictions = list(Guided(runner).run(frames_of(square_clip)))
        assert seen(predictions) == [0, 6]
        errors = [np.count_nonzero(p.labels != truth(i)) for p, i in zip(predictions, square_images, strict=True)]
        assert max(errors) < 150, (flow, recursive, errors)
        assert predictions[0].occluded is None
        assert predictions[4].occluded.shape == (16, 24)
        assert predictions[4].occluded.mean() < 0.3


def test_motion_tells_what_it_could_not_follow(runner, tmp_path, make_clip, square_images):
    changed = [image.copy() for image in square_images[:4]]
    changed[3][0:32, 64:96] = np.random.default_rng(5).integers(0, 255, (32, 32, 3))
    frames = frames_of(make_clip(tmp_path / "new.mp4", changed, gop=50))
    occluded = list(MODES["motion"].pipeline(runner).run(frames))[3].occluded
    assert occluded[1:7, 17:23].mean() > 0.7
    assert occluded[9:, :14].mean() < 0.1


@pytest.mark.parametrize("aligned", [False, True])
def test_scores_at_the_cells_are_those_of_the_full_picture(aligned):
    """A ramp in the full picture, sampled at the cells' centres."""
    settings = PropagationSettings(classes=CLASSES, stride=8, corner_aligned=aligned, probabilities=False)
    rows, columns = settings.grid_hw((48, 96))
    scores = torch.arange(float(columns)).expand(1, 1, rows, columns)
    full = full_logits(scores, (48, 96), settings)
    centres = (full[..., 1::4] + full[..., 2::4])[..., 1::4, :] / 2
    torch.testing.assert_close(sample_cells(scores, (48, 96), 4, settings)[..., 1:-1], centres[..., 1:-1])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A random network, and a light head beside it."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_model(SwiftNet(CLASSES), file, "swiftnet18")
    settings = PropagationSettings(classes=CLASSES, flow="light", width=8)
    save_propagation(PropagationModel(settings), branch_file(file, "guided"))
    return file


def test_the_head_is_found_beside_the_weights(weights, square_clip):
    runner = NetworkRunner(load_network(weights), device="cpu", precision="fp32")
    frames = frames_of(square_clip)[:3]
    for source in (None, "motion", "dis", "none"):
        pipeline = Guided(runner, flow_source=source)
        assert pipeline.needs_motion == (source == "motion")
        assert seen(pipeline.run(frames)) == [0]
    head = branch_file(weights, "guided")
    assert head.name == "net-guided.safetensors"
    assert seen(Flow(runner, flow_source=f"light:{head}", refresh_above=1.0).run(frames)) == [0]
    with pytest.raises(ModelError, match="flownets"):
        Guided(runner, flow_source="flownets")


def test_a_head_that_is_not_there_or_not_for_this_network(runner, weights, tmp_path):
    bare = tmp_path / "bare.safetensors"
    save_model(SwiftNet(2), bare, "swiftnet18")
    runner = NetworkRunner(load_network(bare), device="cpu", precision="fp32")
    with pytest.raises(StreamUsageError, match=r"no propagation head .*--guided-weights"):
        Guided(runner)
    with pytest.raises(StreamUsageError, match="for 3 classes"):
        Guided(runner, guided_weights=branch_file(weights, "guided"))
    with pytest.raises(StreamUsageError, match="give --guided-weights"):
        Guided(NetworkRunner(SwiftNet(2), device="cpu", precision="fp32"))


def test_the_command_runs_a_head_and_shows_what_is_occluded(stream, weights, square_clip, tmp_path):
    head = tmp_path / "head.safetensors"
    save_propagation(PropagationModel(PropagationSettings(classes=CLASSES, stride=4, width=8, photometric=True)), head)
    pictures = []
    for source, more in (("motion", ()), ("none", ()), ("none", ("--show-occlusion",))):
        options = ("--interval", 4, "--flow-source", source, "--guided-weights", head, "--stats", "s.json", "-y")
        result = stream(square_clip, "--mode", "guided", *options, *more, "-o", "x.mp4", model=weights)
        assert result.exit_code == 0, result.stderr
        stats = json.loads((tmp_path / "s.json").read_text())
        assert (stats["mode"], stats["frames"]) == ("guided", 12)
        assert stats["network_frames"] == (4 if source == "motion" else 3)
        assert "head" in stats["stages_ms"]
        pictures.append(frames_of(tmp_path / "x.mp4")[3].image.astype(int))
    assert np.abs(pictures[1] - pictures[2]).max() > 60


def test_keyframes_may_be_seen_smaller(runner, square_clip, square_images):
    predictions = list(Flow(runner, flow_source="motion", key_scale=0.5).run(frames_of(square_clip)))
    plain = list(Flow(runner, flow_source="motion").run(frames_of(square_clip)))
    assert predictions[0].labels.shape == (64, 96)
    assert not np.array_equal(predictions[0].labels, plain[0].labels)
    errors = [np.count_nonzero(p.labels != truth(i)) for p, i in zip(predictions, square_images, strict=True)]
    assert max(errors) < 400, errors


@pytest.mark.parametrize("source", ["dis", "motion"])
def test_features_may_be_carried_in_place_of_scores(source, runner, square_clip, square_images):
    """The colour network's features are the cells' mean colours; warped, and classified after that."""
    frames = frames_of(square_clip)
    predictions = list(Flow(runner, flow_source=source, carry="features", keep_logits=True).run(frames))
    assert seen(predictions) == [0, 6]
    errors = [np.count_nonzero(p.labels != truth(i)) for p, i in zip(predictions, square_images, strict=True)]
    assert max(errors) < 200, errors
    assert predictions[3].logits.min() < -50, "distances of colours, not logarithms of probabilities"
    with pytest.raises(StreamUsageError, match="take one of scores, features"):
        Flow(runner, carry="hopes")

"""`evaluate-segnet` from files to reports, and what it measures."""

import csv
import json
import re
import weakref
from contextlib import contextmanager
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.codec import open_video
from gopseg.data import CamVid, CamVid12, Cityscapes
from gopseg.data.datasets.sequences import LabelledSequence, dense_clips
from gopseg.pipelines import MODES, CodecReads, Mode, Options, Pipeline, Scored
from gopseg.segnet import PropagationModel, PropagationSettings, SwiftNet, save_model, save_propagation
from gopseg.tools.evaluate import protocols
from gopseg.tools.evaluate.main import main
from gopseg.tools.evaluate.measuring.clip_files import encode_by_defaults, encode_clip
from gopseg.tools.evaluate.measuring.correspondence import FlowMatcher
from gopseg.tools.evaluate.measuring.flops import network_gflops
from gopseg.tools.evaluate.measuring.scoring import Evaluation
from gopseg.tools.evaluate.measuring.shared_runner import SharedRunner
from gopseg.tools.evaluate.processed_frames import ComposedMotion
from gopseg.tools.evaluate.protocols import ClipProtocol
from gopseg.tools.evaluate.variants import Variant

GOP = 3
SIZE = (64, 96)


def stripe(index, size_hw=SIZE):
    """A frame whose grey level says its class (0 or 1), with a border that moves so that no two frames are alike."""
    labels = np.zeros(size_hw, np.uint8)
    labels[:, 16 + 8 * index :] = 1
    return labels


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def picture(labels):
    return np.repeat((labels * 200)[..., None], 3, 2).astype(np.uint8)


class GreyLevels(Pipeline):
    """Reads the classes off the grey level: right wherever truth and frame belong together."""

    def __init__(self, runner, *, frozen=False):
        super().__init__(runner)
        self.frozen = frozen

    def _observe(self, frame):
        if frame.is_keyframe or not self.frozen:
            self.labels = (frame.image[..., 0] > 100).astype(np.uint8)

    def _segment(self, frame):
        return Scored(np.eye(2, dtype=np.float32)[self.labels[::2, ::2]], frame.is_keyframe)


@dataclass(frozen=True, kw_only=True)
class GreyOptions(Options):
    frozen: bool = False

    def __post_init__(self):
        """It is no option of a command."""


GREY = Mode(
    name="grey", help="", options=GreyOptions, build=lambda runner, options: GreyLevels(runner, frozen=options.frozen)
)


class Runner:
    stride = 2
    classes = ("a", "b")
    saved_seconds = 0.0


class WatchedRunner(Runner):
    @contextmanager
    def forgetful(self):
        yield


@pytest.fixture
def sequence(tmp_path):
    for i in range(7):
        write(tmp_path / "images" / f"{i}.png", picture(stripe(i)))
        write(tmp_path / "labels" / f"{i}.png", stripe(i))
    images = tuple(tmp_path / "images" / f"{i}.png" for i in range(7))
    labels = {i: tmp_path / "labels" / f"{i}.png" for i in range(7)}
    return LabelledSequence("stripes", images, labels, lambda path: cv2.imread(str(path), 0), {})


def evaluate(sequence, tmp_path, *, every_frame=True):
    variants = [Variant(name, name, GREY, "", {"frozen": name == "frozen"}) for name in ("moving", "frozen")]
    evaluation = Evaluation(variants, {"": Runner()}, ("a", "b"), GOP)
    for clip in dense_clips(sequence, GOP):
        file = tmp_path / "clip.mp4"
        encode_clip(clip, file, bitrate_bps=3_000_000, frame_rate=15)
        with open_video(file) as video:
            truth = clip.labels if every_frame else lambda index, clip=clip: clip.labels(index) if index == 2 else None
            evaluation.run(video, truth, every_frame=every_frame)
    return evaluation.results


@pytest.mark.parametrize("reads", [CodecReads(), CodecReads(qp=True)])
def test_quantisers_are_read_where_a_mode_declares_it(sequence, reads):
    seen = []

    class Watching(GreyLevels):
        def _observe(self, frame):
            seen.append(frame.qp is not None)
            super()._observe(frame)

    mode = replace(GREY, reads=lambda options: reads, build=lambda runner, options: Watching(runner))
    evaluation = Evaluation([Variant("w", "w", mode, "")], {"": WatchedRunner()}, ("a", "b"), GOP)
    ClipProtocol([sequence], True, 15.0, "none", starts=1).run(evaluation, GOP, 3_000_000, lambda count: None)
    assert len(seen) == GOP + 7, "one GOP to count operations, then every frame"
    assert set(seen) == {reads.qp}


def test_every_frame_is_scored_against_its_own_labels_at_every_distance(sequence, tmp_path):
    moving, frozen = evaluate(sequence, tmp_path)
    pixels = SIZE[0] * SIZE[1]
    # Starts 0, 1, 2 leave 7, 6, 5 frames: distances 0 1 2 0 1 2 0 | 0 1 2 0 1 2 | 0 1 2 0 1.
    assert [c.counts.sum() // pixels for c in moving.confusions] == [7, 6, 5]
    assert min(moving.miou_d) > 0.97
    assert frozen.miou_d[0] > 0.97
    assert frozen.miou_d[0] - 0.05 > frozen.miou_d[1] > frozen.miou_d[2] + 0.02
    record = frozen.record()
    assert record["miou_min"] == frozen.miou_d[2]
    assert record["miou_mean"] == pytest.approx(np.mean(frozen.miou_d))
    assert (record["frames"], record["network_frames"]) == (18, 7)


def test_modes_that_wait_for_later_frames_are_scored_on_their_own(sequence, tmp_path):
    """As mode auto does, which carries both ways: predictions come two frames late, the last ones at the end."""

    class Late(GreyLevels):
        def push(self, frame):
            self.kept = [*getattr(self, "kept", []), self.step(frame)]
            while len(self.kept) > 2:
                yield self.kept.pop(0)

        def flush(self):
            yield from self.kept

    late = replace(GREY, build=lambda runner, options: Late(runner))
    variants = [Variant("late", "auto", late, ""), Variant("moving", "moving", GREY, "")]
    order = []
    evaluation = Evaluation(
        variants,
        {"": Runner()},
        ("a", "b"),
        GOP,
        on_scored=lambda name, frame, truth, shown: order.append((name, shown)),
    )
    for clip in dense_clips(sequence, GOP):
        encode_clip(clip, tmp_path / "clip.mp4", bitrate_bps=3_000_000, frame_rate=15)
        with open_video(tmp_path / "clip.mp4") as video:
            evaluation.run(video, clip.labels)
    first, second = evaluation.results
    for one, other in zip(first.confusions, second.confusions, strict=True):
        assert np.array_equal(one.counts, other.counts)
    assert first.frames.tolist() == second.frames.tolist()
    assert [name for name, _ in order] == [str(i) for count in (7, 6, 5) for i in range(count)]
    assert all(np.array_equal(shown["late"], shown["moving"]) for _, shown in order)


def test_frames_that_do_not_count_are_passed_over(sequence, tmp_path):
    moving, _ = evaluate(sequence, tmp_path, every_frame=False)
    assert [int(c.counts.sum() > 0) for c in moving.confusions] == [0, 0, 1]
    assert moving.frames.tolist() == [7, 3]  # every keyframe, and frame 2 of each of the three clips
    assert min(moving.miou_d[2:]) > 0.97


def test_costs_are_those_of_a_stream_with_gops_of_that_length():
    evaluation = Evaluation([Variant("v", "v", GREY, "")], {}, ("a", "b"), 4)
    (result,) = evaluation.results
    result.operations = {(True, True): 8e9, (False, False): 1e9}
    result.frames[:], result.network_frames[:] = (10, 20), (10, 5)
    result.seconds[:], result.decode_seconds[:] = (10.0, 4.0), (1.0, 2.0)
    # A quarter of the frames between keyframes were refreshed, which costs what a keyframe does.
    assert result.gflops == (8.0, 0.25 * 8 + 0.75 * 1)
    record = result.record()
    assert record["gflops_per_frame"] == pytest.approx((8 + 3 * 2.75) / 4)
    assert record["gmacs_per_frame"] == pytest.approx(record["gflops_per_frame"] / 2)
    assert record["fps_without_decoding"] == pytest.approx(4 / (1.0 + 3 * 0.2))
    assert record["fps"] == pytest.approx(4 / (1.1 + 3 * 0.3))


def test_intervals_are_what_the_first_distances_give():
    evaluation = Evaluation([Variant("v", "v", GREY, "")], {}, ("a", "b"), 3)
    (result,) = evaluation.results
    truth = np.array([[0, 0, 0, 1]], np.uint8)
    for confusion, wrong in zip(result.confusions, (0, 2, 1), strict=True):
        predicted = truth.copy()
        predicted[0, :wrong] = 1
        confusion.update(predicted, truth)
    result.operations = {(True, True): 8e9, (False, False): 1e9}
    result.frames[:], result.network_frames[:], result.seconds[:] = (10, 20), (10, 0), (10.0, 4.0)
    table = result.by_interval()
    assert [row["miou_last"] for row in table] == result.miou_d
    assert [row["miou_min"] for row in table] == [1.0, result.miou_d[1], result.miou_d[1]]
    assert table[2]["miou_mean"] == pytest.approx(np.mean(result.miou_d))
    assert table[1]["miou_pooled"] == pytest.approx((4 / 6 + 2 / 4) / 2)  # class a: 4 of 6 cells, b: 2 of 4
    assert table[2]["miou_pooled"] == pytest.approx(result.pooled().mean_iou)
    assert [row["gflops"] for row in table] == pytest.approx([8, 4.5, 10 / 3])
    assert [row["fps"] for row in table] == pytest.approx([1, 2 / 1.2, 3 / 1.4])


def test_gflops_of_swiftnet_are_the_published_ones():
    """GSVNet (Lee et al., ICME 2021): 19.35 GMAC for 540x720, whose share at 360x480 is 4/9 (odd sizes round up)."""
    gmac = network_gflops(SwiftNet(11).to("meta"), (540, 720)) / 2
    assert gmac == pytest.approx(19.35, rel=0.01)


def test_modes_share_the_networks_work_and_its_time():
    runner = SharedRunner(SwiftNet(2), precision="fp32", device="cpu")
    calls = []
    original = runner._features
    runner._features = lambda images: calls.append(1) or original(images)
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8) for _ in range(2))
    once = runner.logits(first)
    assert runner.saved_seconds == 0
    np.testing.assert_array_equal(runner.logits(first.copy()), once)
    assert len(calls) == 1
    assert runner.saved_seconds > 0
    assert not np.array_equal(runner.logits(second), once)
    assert len(calls) == 2
    with runner.forgetful():
        runner.logits(second)
    assert len(calls) == 3


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    root = tmp_path_factory.mktemp("camvid")
    for i in range(5):
        write(root / "val" / f"{i}.png", picture(stripe(i)))
        write(root / "valannot" / f"{i}.png", stripe(i))
    weights = root / "net.safetensors"
    torch.manual_seed(0)
    save_model(SwiftNet(CamVid.classes), weights, "swiftnet18")
    return root, weights


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_writes_its_reports(clip, tmp_path):
    root, weights = clip
    modes = ("--modes", "hr,motion,hr@" + str(weights))
    result = call("--root", root, "--model", weights, "--gop", 2, "-o", tmp_path, "--precision", "fp32", *modes)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    hr, motion, again = report["modes"]
    assert [record["mode"] for record in report["modes"]] == ["hr", "motion", "hr"]
    for record in report["modes"]:
        assert len(record["miou_d"]) == 2
        assert len(record["iou_d"][0]) == len(CamVid.classes)
        assert record["miou_min"] == min(record["miou_d"])
        temporal = record["temporal"]
        assert 0 < record["temporal_consistency"] == temporal["tc"] <= 1
        assert 0 < temporal["tc_legacy"] < temporal["tc_vspw"] <= 1
        assert 0 < temporal["tc_mv"] <= 1
        assert temporal["tc_mv_detail"]["pairs"] < temporal["pairs"]  # keyframes have no vectors
        assert len(temporal["clips"]) == 2
        assert record["fps"] < record["fps_without_decoding"]
    # Keyframes are the same in both modes, and the network runs on them only in mode motion.
    assert hr["miou_d"][0] == pytest.approx(motion["miou_d"][0])
    assert hr["gflops_per_frame"] == pytest.approx(network_gflops(SwiftNet(11), SIZE), rel=1e-6)
    assert motion["gflops_per_frame"] < hr["gflops_per_frame"]
    assert again["miou_d"] == hr["miou_d"]
    assert len(report["settings"]["weights_sha256"][str(weights)]) == 64
    assert len(report["settings"]["data_sha256"]) == 64
    with (tmp_path / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["d"] for row in rows[:5]] == ["0", "1", "mean", "pooled", "min"]
    assert len(rows) == 3 * 5
    assert float(rows[0]["miou"]) == hr["miou_d"][0]


def test_the_text_file_is_as_ar_segs(clip, tmp_path):
    """Of AR-Seg's evaluation: name, L + 1 lines in %.18e, the mean last."""
    root, weights = clip
    arguments = ("--root", root, "--model", weights, "--gop", 2, "--bitrate", "750k", "--limit", 3, "-o", tmp_path)
    assert call(*arguments, "--modes", "hr", "--precision", "fp32").exit_code == 0
    file = tmp_path / "camvid-swiftnet18-1.0x-resolution-exp-GOP2-750k-evaluation.txt"
    lines = file.read_text().splitlines()
    assert all(re.fullmatch(r"\d\.\d{18}e[+-]\d\d", line) for line in lines)
    values = [float(line) for line in lines]
    assert len(values) == 3
    assert values[-1] == pytest.approx(np.mean(values[:-1]))


def test_the_defaults_of_x264_are_encoded_once_with_b_frames(clip, tmp_path):
    root, weights = clip
    arguments = ("--root", root, "--model", weights, "--precision", "fp32", "--runtime", "torch", "--encode", "x264")
    first = call(*arguments, "--modes", "frame,motion,auto", "--cache", tmp_path / "known", "-o", tmp_path / "first")
    assert first.exit_code == 0, first.output
    report = json.loads((tmp_path / "first" / "report.json").read_text())
    assert report["settings"]["encoding"] == "x264"
    for record in report["modes"]:
        assert (record["gop"], record["frames"], np.sum(record["confusion"])) == (5, 5, 5 * SIZE[0] * SIZE[1])
    (folder,) = (tmp_path / "known").iterdir()
    assert len(list(folder.iterdir())) == 5, "each picture was seen once, by all modes together"
    for file in folder.iterdir():  # from now on the network says the first class everywhere
        np.savez(file, logits=np.eye(11)[0] * np.ones_like(np.load(file)["logits"]), seconds=1.0)
    again = call(*arguments, "--modes", "frame", "--cache", tmp_path / "known", "-o", tmp_path / "again")
    assert again.exit_code == 0, again.output
    (frame,) = json.loads((tmp_path / "again" / "report.json").read_text())["modes"]
    found = np.sum(np.reshape(frame["confusion"], (-1, 11, 11)), 0)
    assert found.any()
    assert not found[:, 1:].any(), "nothing but the first class is said"


def test_such_streams_have_b_frames_and_several_references(sequence, tmp_path):
    (clip,) = dense_clips(sequence, 250, starts=1)
    encode_by_defaults(clip, tmp_path / "clip.mp4", frame_rate=15)
    with open_video(tmp_path / "clip.mp4", references=True) as video:
        frames = list(video)
    assert len(frames) == 7
    assert {"I", "P", "B"} == {frame.pict_type for frame in frames}
    assert [frame.distance for frame in frames] == list(range(7))


@pytest.mark.parametrize("more", [("--gop", 12), ("--bitrate", "1M"), ("--stills",), ("--dataset", "cityscapes")])
def test_what_does_not_go_with_the_defaults_of_x264_is_refused(clip, more):
    result = call("--root", clip[0], "--model", clip[1], "--encode", "x264", *more)
    assert result.exit_code == 2, result.output


def test_sweeps_are_evaluated_in_every_combination(clip, tmp_path):
    root, weights = clip
    arguments = ("--root", root, "--model", weights, "--gop", "1,2", "--bitrate", "300k", "--bitrate", "2M")
    modes = ("--modes", "frame,motion", "--sweep", "refresh_above=0,0.9", "--limit", 3)
    result = call(*arguments, *modes, "-o", tmp_path, "--precision", "fp32", "--consistency", "codec")
    assert result.exit_code == 0, result.output
    records = json.loads((tmp_path / "report.json").read_text())["modes"]
    variants = ["frame", "motion refresh_above=0", "motion refresh_above=0.9"]
    found = [(record["gop"], record["bitrate_bps"], record["variant"]) for record in records]
    assert found == [(gop, rate, name) for gop in (1, 2) for rate in (300_000, 2_000_000) for name in variants]
    assert records[-1]["options"] == {"refresh_above": 0.9}
    page = (tmp_path / "report.html").read_text()
    assert "Rate and accuracy, GOP 1" in page
    assert "GOP length and accuracy, 300 kb/s" in page


def test_propagation_heads_are_compared_at_every_interval(clip, tmp_path):
    root, weights = clip
    files = []
    for name, edges in (("with", "any-neighbour"), ("without", None)):
        torch.manual_seed(0)
        settings = PropagationSettings(classes=CamVid.classes, stride=4, width=8, edges=edges)
        files.append(tmp_path / f"{name}.safetensors")
        save_propagation(PropagationModel(settings), files[-1])
    arguments = ("--root", root, "--model", weights, "--gop", 2, "--limit", 3, "--precision", "fp32", "-o", tmp_path)
    heads = ",".join(map(str, files))
    sweeps = ("--sweep", f"guided_weights={heads}", "--sweep", "key_scale=0.5,1", "--consistency", "none")
    result = call(*arguments, "--modes", "guided", *sweeps, "--by-interval")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["settings"]["weights_sha256"]) == {str(weights), "with", "without"}
    small, whole = (record["by_interval"] for record in report["modes"][:2])
    assert 0.2 < small[0]["gflops"] / whole[0]["gflops"] < 0.3
    assert whole[1]["gflops"] < whole[0]["gflops"]
    assert result.output.count("frames between keyframes") == 4


def test_sparse_video_scores_each_label_at_each_distance(tmp_path):
    root = tmp_path / "cityscapes"
    for i in range(6):
        write(root / f"leftImg8bit_sequence/val/ulm/ulm_000003_{i:06d}_leftImg8bit.png", picture(stripe(i)))
    write(root / "gtFine/val/ulm/ulm_000003_000003_gtFine_labelIds.png", np.full(SIZE, 7, np.uint8))
    weights = tmp_path / "net.safetensors"
    save_model(SwiftNet(Cityscapes.classes), weights, "swiftnet18")
    arguments = ("--dataset", "cityscapes", "--root", root, "--model", weights, "--gop", GOP, "-o", tmp_path)
    result = call(*arguments, "--precision", "fp32")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["settings"]["protocol"] == "sparse"
    frame, motion = report["modes"]
    pixels = SIZE[0] * SIZE[1]
    assert np.sum(frame["confusion"]) == GOP * pixels
    # Three clips: of each the keyframe is segmented, and of two also the labelled frame that follows.
    assert (frame["frames"], frame["temporal_consistency"]) == (5, None)
    assert motion["gflops_per_frame"] == pytest.approx(frame["gflops_per_frame"] / GOP)


@pytest.fixture
def processed(tmp_path):
    """Frames as AR-Seg's scripts leave them; the motion says '8 pixels to the right' of frames that did not move."""
    root = tmp_path / "3M-GOP2"
    texture = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    texture = cv2.GaussianBlur(texture, (0, 0), 3)
    for d in range(2):
        decoded = root / f"decoded_GOP2_dist_{d}"
        write(decoded / "test" / "0001TP_008550.png", texture)
        write(decoded / "test_labels_with_ignored" / "0001TP_008550_L.png", stripe(2))
        write(root / "frames" / "0001TP" / f"0001TP_{8550 - 6659 - d:06d}.png", texture)
    field = np.zeros((*SIZE, 2), "<i2")
    field[..., 0] = 4 * 8
    (root / "MVmap_GOP2_dist_1" / "0001TP").mkdir(parents=True)
    field.tofile(root / "MVmap_GOP2_dist_1" / "0001TP" / "0001TP_008550.bin")
    return root


def test_ar_segs_processed_frames_are_read_with_their_motion(processed, clip, tmp_path):
    _, weights = clip
    arguments = ("--root", processed, "--split", "test", "--model", weights, "--precision", "fp32", "-o", tmp_path)
    result = call(*arguments, "-y")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    frame, motion = report["modes"]
    assert report["settings"]["protocol"] == "ar-seg"
    assert frame["miou_d"][0] == frame["miou_d"][1] == motion["miou_d"][0]
    assert motion["miou_d"][1] != motion["miou_d"][0]
    assert motion["gflops_per_frame"] == pytest.approx(frame["gflops_per_frame"] / 2)
    assert (tmp_path / "camvid-swiftnet18-motion-resolution-exp-GOP2-3M-evaluation.txt").is_file()


def test_composed_motion_is_sampled_where_cells_have_their_centres():
    y, x = np.mgrid[:16, :24].astype(np.float32)
    none = np.empty(0)
    motion = ComposedMotion(none, none, none, 0, True, displacement=np.stack([x, y], 2))
    field = motion.compose(4)
    np.testing.assert_array_equal(field.displacement[2, 5], (22, 10))
    assert (field.displacement.shape, field.cell) == ((4, 6, 2), (4.0, 4.0))
    np.testing.assert_array_equal(motion.compose("pixel").displacement, motion.displacement)


def test_a_network_of_twelve_classes_takes_the_data_set_that_has_them(clip, tmp_path):
    root, eleven = clip
    weights = tmp_path / "twelve.safetensors"
    save_model(SwiftNet(12), weights, "swiftnet18")
    arguments = ("--root", root, "--model", weights, "--gop", 1, "--limit", 2, "--precision", "fp32", "-o", tmp_path)
    result = call(*arguments, "--modes", "frame", "--dataset", "camvid12")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "report.json").read_text())["settings"]["classes"] == list(CamVid12.classes)
    result = call(*arguments, "-y")
    assert result.exit_code == 2
    assert "it has 12 classes, the data set 11" in result.output
    assert "take another model" in result.output
    result = call("--root", root, "--model", eleven, "--dataset", "camvid12")
    assert result.exit_code == 2
    assert "it lacks void" in result.output


def test_stills(clip, tmp_path):
    root, weights = clip
    result = call("--root", root, "--model", weights, "--stills", "--limit", 2, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "over 2 stills" in result.output
    (record,) = json.loads((tmp_path / "report.json").read_text())["modes"]
    assert np.sum(record["confusion"]) == 2 * SIZE[0] * SIZE[1]
    assert "Confusion" in (tmp_path / "report.html").read_text()


def test_averaged_stills_are_reported_beside_the_plain_ones(clip, tmp_path):
    root, weights = clip
    arguments = ("--root", root, "--model", weights, "--stills", "--limit", 1, "-o", tmp_path, "--precision", "fp32")
    result = call(*arguments, "--flip", "--scales", "0.5,1")
    assert result.exit_code == 0, result.output
    records = json.loads((tmp_path / "report.json").read_text())["modes"]
    assert [r["variant"] for r in records] == ["still", "still flip", "still 0.5,1", "still flip 0.5,1"]
    assert len({json.dumps(r["confusion"]) for r in records}) == 4
    assert records[3]["options"] == {"flip": True, "scales": [0.5, 1.0]}


def test_errors_name_their_cause(clip):
    root, weights = clip
    for arguments, text in (
        (("--root", root, "--model", "nonsense"), "unknown model"),
        (("--root", root / "none", "--model", weights), "none"),
        (("--root", root, "--model", weights, "--modes", "frame,warp9"), "unknown mode 'warp9'"),
        (("--root", root, "--model", weights, "--modes", "frame,frame"), "'frame' is there twice"),
        (("--root", root, "--model", weights, "--modes", "frame", "--lr-scales", "0.5"), "option 'lr_scale'"),
        (("--root", root, "--model", weights, "--sweep", "refresh_above"), "KEY=VALUES"),
        (("--root", root, "--model", weights, "--gop", "0.5"), "no GOP length"),
        (("--root", root, "--model", weights, "--bitrate", "fast"), "fast"),
        (("--root", root, "--model", weights, "--flip"), "add --stills"),
        (("--root", root, "--model", weights, "--stills", "--scales", "0,1"), "above 0"),
        (("--root", root, "--model", weights, "--dataset", "cityscapes"), "take another model"),
    ):
        result = call("--precision", "fp32", *arguments)
        assert result.exit_code == 2, result.output
        assert text in result.output


def test_every_mode_is_offered():
    """Modes are taken from the registry, so that a new one needs no change here."""
    result = call("--help")
    assert all(mode in result.output for mode in MODES)


def test_sequences_come_one_after_the_other(sequence, tmp_path, monkeypatch):
    """The motion of one is forgotten before the next is encoded, and equal names of frames are told apart."""
    alive = weakref.WeakSet()
    counts = []

    class Matcher(FlowMatcher):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            alive.add(self)
            counts.append(len(alive))

    monkeypatch.setattr(protocols, "FlowMatcher", Matcher)
    other = LabelledSequence(
        "more", *(getattr(sequence, key) for key in ("images", "label_files", "read_labels", "names"))
    )
    names = []
    variants = [Variant("moving", "moving", GREY, "", {})]
    evaluation = Evaluation(variants, {"": Runner()}, ("a", "b"), GOP, on_scored=lambda name, *_: names.append(name))
    monkeypatch.setattr(evaluation, "count_operations", lambda _: None)
    protocol = ClipProtocol([sequence, other, sequence], True, 15.0, starts=1)
    protocol.run(evaluation, GOP, 3_000_000, lambda _: None)
    assert counts == [1, 2, 2]  # the one before is let go of as soon as the next is there
    assert names == [*"0123456", *(f"more/{i}" for i in range(7)), *"0123456"]


def test_a_subject_is_seen_at_every_distance(sequence):
    protocol = ClipProtocol([sequence], True, 15.0)
    assert protocol.subject(GOP) == "3"
    assert protocol.subject(7) == "6"

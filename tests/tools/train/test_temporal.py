"""`train-segnet hr` with ETC's terms, and the groups of frames that it draws."""

import copy
import json
import shutil
import sys
from fractions import Fraction
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gopseg.codec import EncodeSettings
from gopseg.codec.writing.pictures import pictures_of_images
from gopseg.codec.writing.transcoding import transcode
from gopseg.data.augment.frame_groups import CELL, draw_group, read_group, vary_group
from gopseg.data.datasets.camvid import CamVid
from gopseg.data.labelled_video import LabelledVideo, find_labelled_videos, find_videos
from gopseg.data.sample import VOID, DatasetError
from gopseg.segnet import ModelError, build_network, load_network, save_model
from gopseg.segnet.flow.dense import FLOWS, RaftFlow, consistent_motion, grey_flow
from gopseg.tools.train.loop.settings import TrainSettings
from gopseg.tools.train.main import main
from gopseg.tools.train.trainers.image import ImageSettings
from gopseg.tools.train.trainers.temporal import Groups, TemporalSettings, TemporalTrainer

SIZE, GOP = (96, 128), 6
CLASSES = 11


def texture(seed=0):
    """A wide picture, and labels that go with it: what shows which part of it a frame is."""
    noise = np.random.default_rng(seed).integers(0, 256, (SIZE[0] + 64, SIZE[1] + 64, 3)).astype(np.uint8)
    image = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    return image, (np.indices(image.shape[:2]).sum(0) // 8 % CLASSES).astype(np.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A video of 12 frames in two GOPs whose content moves 4 right and 2 down each frame, with labels."""
    folder = tmp_path_factory.mktemp("clips")
    image, labels = texture()
    views = [np.s_[40 - 2 * i :, 60 - 4 * i :] for i in range(12)]
    frames = [image[view][: SIZE[0], : SIZE[1]].copy() for view in views]
    pictures = pictures_of_images(iter(frames), "clip", Fraction(25), len(frames))
    transcode(pictures, folder / "clip.mp4", EncodeSettings(gop=GOP, bitrate_bps=4_000_000))
    (folder / "clip_labels").mkdir()
    for i, view in enumerate(views):
        cv2.imwrite(str(folder / "clip_labels" / f"{i:06d}.png"), labels[view][: SIZE[0], : SIZE[1]])
    return folder


@pytest.fixture(scope="module")
def video(clips):
    return find_labelled_videos(clips)[0]


def explained(group):
    """Mean colour difference of the middle with and without motion."""
    inner = np.s_[16:-16, 24:-24]
    rows, columns = np.indices(group.labels.shape)
    cells = group.displacement.repeat(CELL, 0).repeat(CELL, 1)
    x, y = (columns + cells[..., 0]).astype(np.float32), (rows + cells[..., 1]).astype(np.float32)
    warped = cv2.remap(group.previous, x, y, cv2.INTER_LINEAR).astype(int)
    now = group.image.astype(int)
    return np.abs(warped - now)[inner].mean(), np.abs(group.previous.astype(int) - now)[inner].mean()


@pytest.mark.parametrize(("index", "gap"), [(1, 1), (5, 2), (9, 2)])
def test_a_group_is_known_content(video, index, gap):
    group = read_group(video, index, gap)
    np.testing.assert_allclose(np.median(group.displacement, (0, 1)), (-4 * gap, -2 * gap), atol=0.25)
    assert group.known.mean() > 0.9
    moved, still = explained(group)
    assert moved < 0.5 * still


@pytest.mark.parametrize(("index", "gap"), [(6, 1), (7, 2), (8, 3)])
def test_nothing_is_known_across_a_keyframe(video, index, gap):
    """Frame 6 begins the second GOP."""
    assert not read_group(video, index, gap).known.any()


@pytest.mark.parametrize("seed", range(6))
def test_views_keep_motion_in_step_with_the_pixels(video, seed):
    """Motion explains as much of a zoomed and mirrored view as of the frames; labels stay with their pixels."""
    rng = np.random.default_rng(seed)
    view = vary_group(read_group(video, 4, 2), (64, 80), (0.8, 1.6), rng)
    assert (view.image.shape, view.labels.shape, view.displacement.shape) == ((64, 80, 3), (64, 80), (8, 10, 2))
    moved, still = explained(view)
    assert moved < 0.5 * still
    assert np.median(view.displacement[..., 1]) < -1


def test_draws_stay_in_the_video(video):
    for seed in range(8):
        group = draw_group(video, 9, np.random.default_rng(seed))
        assert group.image.shape == (*SIZE, 3)
    with pytest.raises(DatasetError, match="needs 3 or more"):
        draw_group(LabelledVideo(video.video, video.label_files[:2]), 3, np.random.default_rng(0))
    with pytest.raises(DatasetError, match="ends before frame 12"):
        read_group(video, 11, 1)


def shifted():
    image, _ = texture(1)
    now, before = (torch.from_numpy(image[20:116, left : left + 128].copy())[None] for left in (20, 24))
    return now, before


def test_flow_recovers_a_shift():
    there, validity = consistent_motion(grey_flow, *shifted())
    middle = there[0, 16:-16, 16:-16]
    assert middle.median(0).values.median(0).values.tolist() == pytest.approx([-4, 0], abs=0.25)
    assert validity.shape == (1, 1, 96, 128)
    assert validity[..., 16:-16, 16:-16].mean() > 0.9


class FakeRaft(torch.nn.Module):
    """Torchvision's interface; the flow is the pictures' far corner, so that padding and scale can be seen."""

    def forward(self, first, second):
        assert first.shape[-2] % 8 == first.shape[-1] % 8 == 0
        assert min(first.shape[-2:]) >= 128
        self.seen = first
        flow = torch.zeros(len(first), 2, *first.shape[-2:])
        flow[:, 0], flow[:, 1] = first.mean(), second.mean()
        return [flow - 1, flow]


def test_raft_gets_what_it_expects(monkeypatch):
    """Pictures in -1..1, sides that are multiples of 8; of its updates the last."""
    module = ModuleType("torchvision.models.optical_flow")
    module.raft_small = lambda weights: FakeRaft()
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", module)
    flow = FLOWS["raft"]()
    found = flow(torch.full((2, 131, 90, 3), 255, dtype=torch.uint8), torch.zeros(2, 131, 90, 3))
    assert found.shape == (2, 131, 90, 2)
    assert found[0, 0, 0].tolist() == [1, -1]
    assert flow.network.seen.shape == (2, 3, 136, 128)
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", None)
    with pytest.raises(ModelError, match="needs torchvision; install it"):
        RaftFlow()


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    root = tmp_path_factory.mktemp("camvid")
    image, labels = texture(2)
    for split in ("train", "val"):
        for name, values in ((split, image), (f"{split}annot", labels)):
            (root / name).mkdir()
            for i in range(2):
                cv2.imwrite(str(root / name / f"{i}.png"), values[8 * i :][: SIZE[0], : SIZE[1]])
    return root


@pytest.fixture(scope="module")
def teacher(camvid, tmp_path_factory):
    torch.manual_seed(5)
    file = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_model(build_network("swiftnet18", CamVid.classes), file, "swiftnet18")
    return file


def call(camvid, output, *arguments):
    sizes = ["--crop", "64x64", "--batch", "1", "--epochs", "1", "--validate-every", "1", "--precision", "fp32"]
    fixed = ["hr", "--root", camvid, "-o", output, *sizes, *arguments]
    return CliRunner().invoke(main, [str(argument) for argument in fixed])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--temporal-loss", "0.1"),
        ("--temporal-loss", "0.1", "--temporal-form", "legacy", "--temporal-flow", "dis", "--temporal-groups", "1"),
        ("--temporal-loss", "0.1", "--group-labels", "--distill-flip", "--clips-share", "0"),
        ("--distill-weights", "1", "0", "0", "--distill-scale", "1.25", "--temporal-loss", "0.1", "--lovasz", "1"),
    ],
)
def test_the_command_trains_with_all_terms(camvid, clips, teacher, tmp_path, arguments):
    result = call(camvid, tmp_path / "run", "--clips", clips, "--distill", teacher, *arguments)
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "run" / "best.json").read_text())
    assert card["temporal"]["weight"] == 0.1
    assert len(card["teachers"][0]["sha256"]) == 64
    assert np.isfinite(card["history"][0]["loss"])
    assert load_network(tmp_path / "run" / "best.safetensors").classes[3] == "road"


def test_neighbours_need_no_labels(camvid, clips, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(clips / "clip.mp4", bare)
    [video] = find_videos(bare)
    group = draw_group(video, 2, np.random.default_rng(0))
    assert (len(video), group.labels.shape, set(group.labels.ravel())) == (12, SIZE, {VOID})
    with pytest.raises(DatasetError, match=r"holds no videos NAME\.mp4"):
        find_videos(tmp_path)
    folders = ["--temporal-clips", bare, "--temporal-clips", clips]
    result = call(camvid, tmp_path / "run", "--temporal-loss", "0.1", "--group-labels", *folders)
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "run" / "best.json").read_text())
    assert card["temporal"]["videos"] == ["1 videos of bare", f"1 videos of {clips.name}"]


def test_teachers_see_frames_at_all_scales_and_mirrored(camvid, teacher, tmp_path):
    data = list(CamVid(camvid).stills("train"))
    network = load_network(teacher).eval()
    temporal = TemporalSettings(distillation=(1.0, 0.0, 0.0), flip=True, scales=(1.0, 1.5))
    settings, own = TrainSettings(batch=1, precision="fp32"), ImageSettings(crops=((64, 64, 1.0),))
    made = TemporalTrainer(network, data, data, settings, own, tmp_path, temporal=temporal, teachers=[network])
    frames = made.batch(0).images
    with torch.no_grad():
        images = network.normalise(frames)
        larger = torch.nn.functional.interpolate(images, scale_factor=1.5, mode="bilinear")
        views = [network(images), network(images.flip(3)).flip(3), network(larger), network(larger.flip(3)).flip(3)]
        grid = views[0].shape[2:]
        mean = sum(torch.nn.functional.interpolate(x, grid, mode="bilinear").softmax(1) for x in views) / 4
        assert made.seen(frames, tuple(grid)).exp() == pytest.approx(mean, abs=1e-5)
        assert mean != pytest.approx(views[0].softmax(1), abs=1e-3)


def test_labels_of_groups_count_only_where_asked(camvid, clips, tmp_path):
    data = list(CamVid(camvid).stills("train"))
    settings = TrainSettings(batch=1, precision="fp32")
    own = ImageSettings(crops=((64, 64, 1.0),), auxiliary=0.0)
    videos = find_labelled_videos(clips)
    losses = []
    for labelled in (False, True):
        torch.manual_seed(0)
        network = build_network("swiftnet18", CamVid.classes)
        temporal = TemporalSettings(group_labels=labelled)
        made = TemporalTrainer(network, data, data, settings, own, tmp_path, temporal=temporal, videos=[videos])
        batch = made.batch(0)
        labels = (batch.groups.labels + 1) % CLASSES
        other = batch._replace(groups=batch.groups._replace(labels=labels))
        made.model.eval()
        losses.append([float(made.loss(parts).detach()) for parts in (batch, other)])
    assert losses[0][0] == losses[0][1]
    assert losses[1][0] != losses[1][1]


def test_a_mirrored_teacher_is_imitated(camvid, tmp_path):
    """A student that is its own teacher has nothing to learn from it, unless the teacher sees more than itself."""
    data = list(CamVid(camvid).stills("train"))
    settings = TrainSettings(batch=1, precision="fp32")
    own = ImageSettings(crops=((64, 64, 1.0),), auxiliary=0.0)
    network = build_network("swiftnet18", CamVid.classes).eval()
    terms = []
    for flip in (False, True):
        temporal = TemporalSettings(distillation=(1.0, 0.0, 0.0), flip=flip)
        made = TemporalTrainer(
            network, data, data, settings, own, tmp_path, temporal=temporal, teachers=[copy.deepcopy(network)]
        )
        frames = made.batch(0).images
        p, outputs = made.model.eval()(network.normalise(frames))
        terms.append(float(made.distilled(frames, p, outputs[0], Groups(1, 1)).detach()))
    assert terms[0] == pytest.approx(0, abs=1e-3)
    assert terms[1] > 10 * terms[0]


def test_a_teacher_alone_is_imitated_on_labelled_frames(camvid, teacher, tmp_path):
    result = call(camvid, tmp_path / "run", "--distill", teacher, "--distill", teacher)
    assert result.exit_code == 0, result.output
    assert len(json.loads((tmp_path / "run" / "best.json").read_text())["teachers"]) == 2


def test_a_run_that_may_be_resumed_begins_with_the_weights_given(camvid, teacher, tmp_path):
    first, second = (call(camvid, tmp_path / "run", "--init", teacher, "--resume") for _ in range(2))
    assert "took" in first.output
    assert "took" not in second.output
    assert "resumed at step 2 of 2" in second.output


def test_what_cannot_be_trained_is_refused(camvid, tmp_path):
    result = call(camvid, tmp_path / "run", "--temporal-loss", "0.1")
    assert result.exit_code == 2
    assert "--clips" in result.output
    other = tmp_path / "other.safetensors"
    save_model(build_network("swiftnet18", 4), other, "swiftnet18")
    result = call(camvid, tmp_path / "run2", "--distill", other)
    assert result.exit_code == 2
    assert f"--distill: '{other}' does not fit CamVid: it has 4 classes, the data set 11" in result.output

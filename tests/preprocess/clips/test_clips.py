"""`preprocess clips`: the dense and the sparse protocol, in our layout and in AR-Seg's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import Result

from gopseg.codec import InvalidDataError, MotionChain, MotionField, open_video
from gopseg.data.datasets.layouts.ar_seg import ProcessedFrames, read_motion_map
from gopseg.data.sample import read_labels
from gopseg.preprocess.clips.ar_seg_layout import PixelChain
from gopseg.preprocess.clips.video_layout import read_index

Clips = Callable[..., Result]
SIZE_HW = (96, 128)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def labels(value: int) -> np.ndarray:
    return np.full(SIZE_HW, value, np.uint8)


@pytest.fixture(scope="module")
def images(make: Any) -> list[np.ndarray]:
    return list(make.moving(9, SIZE_HW))


@pytest.fixture(scope="module")
def dense(images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every second frame of a CamVid recording, all labelled, in SegNet's layout."""
    root = tmp_path_factory.mktemp("dense")
    for index, image in enumerate(images):
        save(root / "val" / f"0016E5_{7959 + 2 * index:05d}.png", image)
        save(root / "valannot" / f"0016E5_{7959 + 2 * index:05d}.png", labels(index))
    return root


@pytest.fixture(scope="module")
def camvid(images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene's extracted frames 392..400, the authors' numbers 394 and 396 (extracted 396 and 398) labelled."""
    root = tmp_path_factory.mktemp("camvid")
    for index, image in enumerate(images):
        save(root / "frames" / "0016E5" / f"0016E5_{392 + index:06d}.png", image)
    for number, colour in ((394, (128, 64, 128)), (396, (0, 0, 0))):
        save(root / "test" / f"0016E5_{number:05d}.png", images[number + 2 - 392])
        save(root / "test_labels" / f"0016E5_{number:05d}_L.png", np.full((*SIZE_HW, 3), colour, np.uint8))
    return root


@pytest.fixture(scope="module")
def cityscapes(images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One snippet, its frames 4 labelled."""
    root = tmp_path_factory.mktemp("cityscapes")
    for index, image in enumerate(images):
        save(root / "leftImg8bit_sequence/val/ulm" / f"ulm_000003_{index:06d}_leftImg8bit.png", image)
    save(root / "gtFine/val/ulm/ulm_000003_000004_gtFine_labelIds.png", labels(7))
    return root


def decoded(path: Path) -> list[np.ndarray]:
    with open_video(path) as video:
        return [frame.image.copy() for frame in video]


def shown(image: np.ndarray, images: list[np.ndarray]) -> int:
    """Which of the images this is, after coding."""
    return int(np.argmin([np.abs(image.astype(float) - other).mean() for other in images]))


def test_dense_clips_drop_first_frames(dense: Path, images: list[np.ndarray], tmp_path: Path, clips: Clips) -> None:
    result = clips("--root", dense, "-o", tmp_path / "out", "--gop", 3, "--bitrate", "6M")
    assert (result.exit_code, result.stdout) == (0, "")
    index = read_index(tmp_path / "out")
    assert (index.gop, index.bitrate_bps, index.frame_rate) == (3, 6_000_000, "15")
    assert [(clip.start, clip.frame_count, len(clip.scored)) for clip in index.clips] == [
        (0, 9, 9),
        (1, 8, 8),
        (2, 7, 7),
    ]
    seen = set()
    for clip in index.clips:
        frames = decoded(clip.video)
        with open_video(clip.video) as video:
            distances = [frame.distance for frame in video]
        for scored in clip.scored:
            position = clip.start + scored.frame
            assert scored.distance == distances[scored.frame]
            assert (read_labels(scored.label) == position).all()
            assert shown(frames[scored.frame], images) == position
            assert scored.name == f"0016E5_{7959 + 2 * position:05d}"
            seen.add((position, scored.distance))
    assert seen >= {(position, d) for position in range(2, 9) for d in range(3)}
    account = json.loads((tmp_path / "out" / "0016E5-000001.json").read_text())
    assert account["frame_types"] == "IPPIPPIP"
    assert "3 clips, 9 labelled frames, distances 0 to 2" in result.stderr


def test_a_folder_with_classes_is_a_data_set(images: list[np.ndarray], tmp_path: Path, clips: Clips) -> None:
    root = tmp_path / "yard"
    for index, image in enumerate(images[:4]):
        save(root / "images" / "drive" / f"{index}.png", image)
    save(root / "labels" / "drive" / "2.png", labels(1))
    content = {"classes": {"ground": [1, 2, 3], "kite": [4, 5, 6]}, "frame_rate": 10}
    (root / "classes.json").write_text(json.dumps(content))
    result = clips("--dataset", root, "-o", tmp_path / "out", "--gop", 2)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    index = read_index(tmp_path / "out")
    assert (index.frame_rate, index.classes) == ("10", ("ground", "kite"))
    assert [(clip.sequence, clip.start, len(clip.scored)) for clip in index.clips] == [("drive", 1, 1), ("drive", 2, 1)]
    result = clips("--dataset", root, "-o", tmp_path / "out", "--layout", "ar-seg")
    assert result.exit_code == 2
    assert "--layout ar-seg is for camvid" in result.stderr


def test_sparse_clips_begin_before_labelled_frames(camvid: Path, tmp_path: Path, clips: Clips) -> None:
    out = tmp_path / "out"
    assert clips("--root", camvid, "--split", "test", "-o", out, "--gop", 3, "--distances", "0,2").exit_code == 0
    index = read_index(out)
    found = {(clip.start, tuple((s.frame, s.distance, s.name) for s in clip.scored)) for clip in index.clips}
    assert found == {
        (2, ((2, 2, "0016E5_00394"),)),
        (4, ((0, 0, "0016E5_00394"), (2, 2, "0016E5_00396"))),
        (6, ((0, 0, "0016E5_00396"),)),
    }
    assert index.frame_rate == "30"
    by_name = {s.name: read_labels(s.label) for clip in index.clips for s in clip.scored}
    assert (by_name["0016E5_00394"] == 3).all()
    assert (by_name["0016E5_00396"] == 255).all()


def test_ar_seg_layout_of_camvid(camvid: Path, images: list[np.ndarray], tmp_path: Path, clips: Clips) -> None:
    """Names of AR-Seg's pre-processing, sections 2.5 and 2.6; its own reader finds everything."""
    result = clips(
        "--root", camvid, "--split", "test", "-o", tmp_path, "--gop", 3, "--layout", "ar-seg", "--preset", "veryfast"
    )
    assert result.exit_code == 0, result.stderr
    root = tmp_path / "3M-GOP3"
    assert (root / "decoded_GOP3_dist_2" / "test" / "0016E5_00394.png").is_file()
    assert (root / "decoded_GOP3_dist_2" / "test_labels_with_ignored").is_symlink()
    assert {path.name for path in (root / "frames" / "0016E5").iterdir()} == {
        f"0016E5_{number:06d}.png" for number in range(394, 399)
    }
    assert list((root / "MVmap_GOP3_dist_0" / "0016E5").iterdir()) == []
    assert (root / "MVmap_GOP3_dist_1" / "0016E5" / "0016E5_00396.bin").stat().st_size == 96 * 128 * 2 * 2
    data = ProcessedFrames(root, "test")
    assert (data.gop, data.tag) == (3, "3M")
    for distance in range(3):
        frames = data.at(distance)
        assert [frame.name for frame in frames] == ["0016E5_00394", "0016E5_00396"]
        for frame, position, value in zip(frames, (4, 6), (3, 11), strict=True):
            assert (data.read_labels(frame.label) == value).all()
            image, key = (cv2.imread(str(path))[..., ::-1] for path in (frame.image, frame.keyframe))
            assert shown(image, images) == position
            assert shown(key, images) == position - distance
            if frame.motion is not None:
                motion = read_motion_map(frame.motion, SIZE_HW)
                assert np.median(motion.reshape(-1, 2), 0).tolist() == [3 * distance, 2 * distance]


def test_ar_seg_layout_of_cityscapes(cityscapes: Path, tmp_path: Path, clips: Clips) -> None:
    arguments = ("--dataset", "cityscapes", "--root", cityscapes, "-o", tmp_path, "--gop", 3, "--layout", "ar-seg")
    assert clips(*arguments, "--bitrate", "5M").exit_code == 0
    root = tmp_path / "5M-GOP3"
    name = "ulm_000003_000004_gtFine_leftImg8bit"
    assert (root / "decoded_GOP3_dist_2" / "leftImg8bit" / "val" / "ulm" / f"{name}.png").is_file()
    assert (root / "frames" / "val" / "ulm" / "ulm_000003_000002_leftImg8bit.png").is_file()
    assert (root / "MVmap_GOP3_dist_1" / "val" / "ulm" / f"{name}.bin").is_file()
    lengths = {path.stem: json.loads(path.read_text())["frame_count"] for path in (root / "clips").iterdir()}
    assert lengths == {f"ulm_000003_000000-{4 - d:06d}": d + 1 for d in range(3)}  # cut after the labelled frame
    data = ProcessedFrames(root, "val")
    assert [len(data.at(d)) for d in range(3)] == [1, 1, 1]
    assert (data.read_labels(data.at(1)[0].label) == 0).all()


def test_resume_makes_what_is_missing(camvid: Path, tmp_path: Path, clips: Clips) -> None:
    arguments = ("--root", camvid, "--split", "test", "-o", tmp_path, "--gop", 2, "--layout", "ar-seg")
    assert clips(*arguments).exit_code == 0
    assert "exists" in clips(*arguments).stderr
    lost = tmp_path / "3M-GOP2" / "decoded_GOP2_dist_1" / "test" / "0016E5_00394.png"
    lost.unlink()
    result = clips(*arguments, "--resume")
    assert "3 of 4 clips are there already" in result.stderr
    assert lost.is_file()
    assert clips(*arguments, "--resume", "--fps", 20).exit_code == 2
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--distances", "12"), "not below --gop"),
        (("--distances", "two"), "no distances"),
        (("--layout", "ar-seg"), "give --frames"),
        (("--dataset", "cityscapes", "--frames", "x"), "Cityscapes keeps its frames in its own folder"),
        (("--split", "night"), "check the path and the split"),
    ],
)
def test_bad_arguments(dense: Path, tmp_path: Path, clips: Clips, arguments: tuple[str, ...], text: str) -> None:
    result = clips("--root", dense, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not (tmp_path / "out").exists()


def test_no_index_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="preprocess clips"):
        read_index(tmp_path)


def composed_by_the_scripts_rule(fields: list[np.ndarray]) -> np.ndarray:
    """AR-Seg's spec, section 2.6, pixel by pixel in plain Python; fields (H, W, 2) in quarter pixels, all ref_idx 0."""
    height, width = fields[0].shape[:2]
    ends = [{(y, x): (y, x) for y in range(height) for x in range(width)}]
    for field in fields:
        end = {}
        for y in range(height):
            for x in range(width):
                sx = min(max(x + round(field[y, x, 0] / 4), 0), width - 1)
                sy = min(max(y + round(field[y, x, 1] / 4), 0), height - 1)
                end[y, x] = ends[-1][sy, sx]
        ends.append(end)
    out = np.zeros((height, width, 2), np.int16)
    for (y, x), (end_y, end_x) in ends[-1].items():
        out[y, x] = 4 * (end_x - x), 4 * (end_y - y)
    return out


def test_pixel_chain_is_the_scripts_rule() -> None:
    rng = np.random.default_rng(3)
    chain, fields = PixelChain((20, 28)), []
    for _ in range(4):
        quarters = rng.integers(-40, 41, (3, 4, 2)).astype(np.float32)
        chain.push(MotionField(quarters / 4, np.zeros((3, 4), np.bool_), (20, 28)))
        fields.append(quarters.repeat(8, 0).repeat(8, 1)[:20, :28])
    np.testing.assert_array_equal(chain.displacement(), composed_by_the_scripts_rule(fields))


def test_pixel_chain_stays_near_the_exact_chain(corpus_video: Path) -> None:
    with open_video(corpus_video) as video:
        exact, rounded = MotionChain(video.size_hw), PixelChain(video.size_hw)
        for frame in video:
            if frame.distance == 5:
                break
            if frame.motion is not None:
                field = MotionField.from_vectors(frame.motion)
                exact.push(field)
                rounded.push(field)
    apart = np.abs(exact.compose("pixel").displacement - rounded.displacement() / np.float32(4))
    assert np.quantile(apart, 0.9) <= 2  # half a pixel a hop


def test_written_pngs_are_what_the_stream_decodes_to(camvid: Path, tmp_path: Path, clips: Clips) -> None:
    """The same clip in both layouts: the images are the video's frames."""
    arguments = ("--root", camvid, "--split", "test", "--gop", 2, "--distances", 1)
    assert clips(*arguments, "-o", tmp_path / "own").exit_code == 0
    assert clips(*arguments, "-o", tmp_path / "theirs", "--layout", "ar-seg").exit_code == 0
    frames = decoded(tmp_path / "own" / "0016E5-000003.mp4")
    with av.open(str(tmp_path / "theirs/3M-GOP2/decoded_GOP2_dist_1/test/0016E5_00394.png")) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24")
    np.testing.assert_array_equal(image, frames[1])

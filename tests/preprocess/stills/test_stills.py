"""`preprocess stills`: labelled stills in, labelled GOPs out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from gopseg.codec import MotionChain, MotionField, open_video
from gopseg.data import load_palette
from gopseg.data.labelled_video import LabelledVideoFrames, find_labelled_videos
from gopseg.data.sample import read_labels

Stills = Callable[..., Result]
PALETTE = load_palette("camvid")
SIZE_HW = (96, 128)


def scene(seed: int, size_hw: tuple[int, int] = SIZE_HW) -> tuple[np.ndarray, np.ndarray]:
    """An image and labels: sky, building, a road with texture, and a car."""
    height, width = size_hw
    labels = np.zeros(size_hw, np.uint8)
    labels[height // 2 :] = 3
    labels[height // 6 : height * 5 // 8, : width // 3] = 1
    labels[height * 5 // 8 : height * 3 // 4, width // 2 : width * 3 // 4] = 8
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, size_hw), (0, 0), 1.5)
    image = PALETTE.color(labels) * 0.6 + 60 + 25 * (noise / noise.std())[..., None]
    return np.clip(image, 0, 255).astype(np.uint8), labels


def write_scene(root: Path, name: str, seed: int, size_hw: tuple[int, int] = SIZE_HW) -> None:
    image, labels = scene(seed, size_hw)
    for folder, picture in (("images", image[..., ::-1]), ("labels", labels)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / folder / f"{name}.png"), picture)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two labelled stills."""
    root = tmp_path_factory.mktemp("scenes")
    write_scene(root, "a", 1)
    write_scene(root, "b", 2)
    return root / "images", root / "labels"


def account(path: Path) -> dict:
    return dict(json.loads(path.read_text()))


def test_video_labels_and_account(scenes: tuple[Path, Path], tmp_path: Path, stills: Stills) -> None:
    out = tmp_path / "out"
    result = stills(*scenes, "-o", out, "--gop", 6, "--bitrate", "2M", "--fps", 10, "--seed", 4)
    assert (result.exit_code, result.stdout) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "a.mp4", "a_labels", "b.json", "b.mp4", "b_labels"]
    content = account(out / "a.json")
    with open_video(out / "a.mp4") as video:
        assert (str(video.frame_rate), video.motion_absence) == ("10", None)
        frames = [(frame.pict_type, frame.image.copy()) for frame in video]
    assert "".join(kind for kind, _ in frames) == content["frame_types"] == "IPPPPP"
    assert content["sha256"] == hashlib.sha256((out / "a.mp4").read_bytes()).hexdigest()
    assert (content["settings"]["bitrate_bps"], content["settings"]["seed"]) == (2_000_000, 4)
    files = sorted((out / "a_labels").iterdir())
    assert [file.name for file in files] == [f"{index:06d}.png" for index in range(6)]
    image, labels = scene(1)
    at = content["still_frame"]
    np.testing.assert_array_equal(read_labels(files[at]), labels)
    assert np.abs(frames[at][1].astype(float) - image).mean() < 6
    with Image.open(files[at]) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), PALETTE.color(labels))
    for kind, shown in frames:
        assert kind in "IP"
        assert (shown.max(2) > 10).all(), "black at the border"
    assert f"the still is frame {at}" in result.stderr


def test_a_folder_with_classes_is_a_data_set(tmp_path: Path, stills: Stills) -> None:
    """Its own classes, and names that two recordings share told apart."""
    root = tmp_path / "yard"
    colours = {name: [index, 2, 3] for index, name in enumerate((*PALETTE.names, "kite"))}
    for split in ("train", "val"):
        for drive, seed in (("a", 1), ("b", 2)):
            image, labels = scene(seed)
            for folder, picture in (("images", image[..., ::-1]), ("labels", labels)):
                path = root / split / folder / drive / "0001.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), picture)
    (root / "classes.json").write_text(json.dumps(colours))
    result = stills("--dataset", root, "-o", tmp_path / "out", "--gop", 2)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == ["a-0001.mp4", "b-0001.mp4"]
    content = account(tmp_path / "out" / "a-0001.json")
    assert content["settings"]["classes"][-1] == "kite"
    assert content["source"]["path"].endswith("train/images/a/0001.png")


def test_training_reads_them(scenes: tuple[Path, Path], tmp_path: Path, stills: Stills) -> None:
    assert stills(*scenes, "-o", tmp_path, "--gop", 4).exit_code == 0
    videos = find_labelled_videos(tmp_path)
    assert [len(video) for video in videos] == [4, 4]
    keyed = next(iter(videos[0].keyed([3], 4)))
    assert (keyed.distance, keyed.labels.shape, keyed.displacement.shape) == (3, SIZE_HW, (24, 32, 2))
    assert len(LabelledVideoFrames(videos)) == 8


def test_bitrates_in_turn_and_variants_differ(scenes: tuple[Path, Path], tmp_path: Path, stills: Stills) -> None:
    arguments = (*scenes, "--gop", 3, "--bitrate", "500k", "--bitrate", "4M", "--variants", 2)
    assert stills(*arguments, "-o", tmp_path / "one").exit_code == 0
    rates = {path.stem: account(path)["settings"]["bitrate_bps"] for path in (tmp_path / "one").glob("*.json")}
    assert rates == {"a-v0": 500_000, "b-v0": 4_000_000, "a-v1": 4_000_000, "b-v1": 500_000}
    paths = [account(tmp_path / "one" / f"{name}.json")["camera"] for name in ("a-v0", "a-v1", "b-v0")]
    assert paths[0] != paths[1] != paths[2] != paths[0]
    assert stills(*arguments, "-o", tmp_path / "two", "--jobs", 2).exit_code == 0
    for path in (tmp_path / "one").rglob("*.*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path


def test_composed_motion_is_the_rendered_one(tmp_path: Path, stills: Stills) -> None:
    """What the codec finds explains the frames better than repeating the keyframe does."""
    write_scene(tmp_path, "a", 1, (192, 256))
    arguments = (tmp_path / "images", tmp_path / "labels", "-o", tmp_path, "--gop", 8, "--variants", 6)
    assert stills(*arguments).exit_code == 0
    better = []
    for path in sorted(tmp_path.glob("*.mp4")):
        with open_video(path) as video:
            chain = MotionChain(video.size_hw)
            for frame in video:
                if frame.is_keyframe:
                    key = frame.image.astype(np.float32)
                else:
                    assert frame.motion is not None
                    chain.push(MotionField.from_vectors(frame.motion))
            field = chain.compose("pixel").displacement
            last = frame.image
        y, x = np.indices(last.shape[:2], np.float32)
        warped = cv2.remap(key, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR)
        still, moved = (float(((picture - last) ** 2).mean()) for picture in (key, warped))
        if still > 20:
            better.append(still / moved)
    assert len(better) >= 3
    assert np.median(better) > 2


def test_existing_outputs(scenes: tuple[Path, Path], tmp_path: Path, stills: Stills) -> None:
    arguments = (*scenes, "-o", tmp_path, "--gop", 3)
    assert stills(*arguments).exit_code == 0
    again = stills(*arguments)
    assert again.exit_code == 2
    assert "exists" in again.stderr
    (tmp_path / "b.mp4").unlink()
    resumed = stills(*arguments, "--resume")
    assert (resumed.exit_code, (tmp_path / "b.mp4").is_file()) == (0, True)
    assert "1 of 2 outputs are there already" in resumed.stderr
    other = stills(*arguments, "--resume", "--seed", 9)
    assert other.exit_code == 2
    assert "seed 0, not 9" in other.stderr
    assert stills(*arguments, "-y", "--seed", 9).exit_code == 0
    assert account(tmp_path / "a.json")["settings"]["seed"] == 9


def test_odd_sizes_are_padded_alike(tmp_path: Path, stills: Stills) -> None:
    write_scene(tmp_path, "odd", 3, (95, 127))
    assert stills(tmp_path / "images", tmp_path / "labels", "-o", tmp_path / "out", "--gop", 2).exit_code == 0
    content = account(tmp_path / "out" / "odd.json")
    assert (content["size_hw"], content["source"]["size_hw"]) == ([96, 128], [95, 127])
    labels = read_labels(tmp_path / "out" / "odd_labels" / "000000.png")
    assert labels.shape == (96, 128)
    assert (labels[-1] == 255).all()
    find_labelled_videos(tmp_path / "out")[0].sample(1)


def test_a_bad_still_fails_alone(scenes: tuple[Path, Path], tmp_path: Path, stills: Stills) -> None:
    for name in ("a", "b"):
        for folder, kind in zip(scenes, ("images", "labels"), strict=True):
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / f"{name}.png").write_bytes((folder / f"{name}.png").read_bytes())
    assert cv2.imwrite(str(tmp_path / "labels" / "a.png"), np.full(SIZE_HW, 255, np.uint8))
    result = stills(tmp_path / "images", tmp_path / "labels", "-o", tmp_path / "out", "--gop", 2)
    assert result.exit_code == 1
    assert "no labelled pixel" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.json", "b.mp4", "b_labels"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--dataset", "camvid"), "needs --root"),
        (("images",), "give two folders"),
        (("images", "nowhere"), "is no folder"),
        (("--dataset", "camvid", "--root", "nowhere"), "check the path"),
        (("--dataset", "camvid", "--root", "x", "--palette", "vspw"), "leave --palette out"),
        (("images", "labels", "--palette", "pink"), "palette 'pink'"),
        (("images", "labels", "--variants", 0), "--variants"),
    ],
)
def test_bad_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stills: Stills, arguments: tuple[str, ...], text: str
) -> None:
    write_scene(tmp_path, "a", 1)
    monkeypatch.chdir(tmp_path)
    result = stills(*arguments, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert text in result.stderr
    assert not (tmp_path / "out").exists()

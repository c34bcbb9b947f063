import json
import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from gopseg.files import discard


def facts(file):
    """Size, times and duration of a video."""
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        times = [picture.pts * stream.time_base for picture in container.decode(stream)]
        return (stream.height, stream.width), times, stream.duration * stream.time_base


def command(model_file, *arguments):
    """The command line of a separate process."""
    code = "from gopseg.pipelines.stream.main import main; main()"
    common = ["--model", model_file, "--device", "cpu", "--precision", "fp32"]
    return [sys.executable, "-c", code, *map(str, arguments), *map(str, common)]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def labels_in(folder):
    return [np.asarray(Image.open(file)) for file in sorted(folder.iterdir())]


def test_every_output_at_once(stream, tmp_path, square_clip):
    result = stream(square_clip, "--mode", "motion", "--save", "overlay,labels,color,rle", "--stats", "s.json")
    assert result.exit_code == 0, result.stderr
    names = sorted(file.name for file in tmp_path.iterdir())
    stem = "square_segmented"
    kinds = ["s.json", f"{stem}.classes.json", f"{stem}.mp4", f"{stem}.rle.jsonl", f"{stem}_color", f"{stem}_labels"]
    assert names == kinds
    assert facts(f"{stem}.mp4") == ((64, 96), [Fraction(i, 25) for i in range(12)], Fraction(12, 25))
    assert len(labels_in(tmp_path / f"{stem}_labels")) == 12
    assert len((tmp_path / f"{stem}.rle.jsonl").read_text().splitlines()) == 12
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["frames"], stats["mode"], stats["pict_types"]) == (12, "motion", {"I": 2, "P": 10})
    assert (stats["network_frames"], stats["reencoded"], stats["size_hw"]) == (2, False, [64, 96])
    assert {"read", "motion", "network", "warp", "labels", "overlay", "encode", "write"} <= set(stats["stages_ms"])
    assert stats["stages_ms"]["network"]["frames"] == 2
    assert stats["fps"] > 0


def test_frame_mode_sees_every_frame(stream, square_clip, tmp_path):
    result = stream(square_clip, "--mode", "frame", "--save", "labels", "-o", "x.mp4", "--stats", "s.json")
    assert result.exit_code == 0, result.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["s.json", "x.classes.json", "x_labels"]
    assert json.loads((tmp_path / "s.json").read_text())["network_frames"] == 12


@pytest.mark.parametrize(
    ("codec", "options", "pixel_format", "reason"),
    [
        ("mpeg4", {"bf": "2"}, "yuv420p", "exports no vectors for this codec"),
        ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}, "yuv420p", "no motion vectors for this codec"),
        ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}, "yuv420p", "no motion vectors"),
    ],
    ids=["mpeg4-b-frames", "vp9", "hevc"],
)
def test_streams_without_vectors(stream, tmp_path, make_clip, square_images, codec, options, pixel_format, reason):
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    clip = make_clip(tmp_path / "foreign.mkv", square_images, codec=codec, options=options, pixel_format=pixel_format)
    refused = stream(clip, "--mode", "motion", "--reencode", "never")
    assert refused.exit_code == 2
    assert reason in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "foreign_segmented.mp4").exists()
    done = stream(clip, "--mode", "motion", "--gop", "4", "--stats", "s.json")
    assert done.exit_code == 0, done.stderr
    assert "re-encoding in memory" in done.stderr
    assert reason in done.stderr
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["reencoded"], stats["pict_types"], stats["frames"]) == (True, {"I": 3, "P": 9}, 12)
    _, times, _ = facts("foreign_segmented.mp4")
    assert [round(float(t), 3) for t in times] == [i / 25 for i in range(12)]


@pytest.mark.parametrize("policy", ["auto", "never"])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"bf": "2", "refs": "1", "x264-params": "b-adapt=0"}, "B-frames"),
        ({"bf": "0", "refs": "3"}, "several reference frames"),
        ({"bf": "3", "x264-params": "open-gop=1:b-adapt=0"}, "B-frames"),
    ],
    ids=["b-frames", "references", "open-gop"],
)
def test_references_are_recovered(stream, tmp_path, make_clip, square_images, options, reason, policy):
    clip = make_clip(tmp_path / "foreign.mp4", square_images, options=options)
    done = stream(clip, "--mode", "motion", "--reencode", policy, "--stats", "s.json")
    assert done.exit_code == 0, done.stderr
    assert f"recovering references: the stream {'has' if 'B' in reason else 'predicts from'} {reason}" in done.stderr
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["reencoded"], stats["references_recovered"], stats["frames"]) == (False, True, 12)
    assert stats["network_frames"] == stats["pict_types"]["I"] < 4
    always = stream(clip, "--mode", "motion", "--reencode", "always", "--stats", "s.json", "-y")
    assert always.exit_code == 0, always.stderr
    assert json.loads((tmp_path / "s.json").read_text())["references_recovered"] is False


def test_auto_takes_what_is_allowed(stream, tmp_path, make_clip, square_images, square_clip):
    foreign = make_clip(tmp_path / "b.mp4", square_images, options={"bf": "2", "x264-params": "b-adapt=0"})
    silent = make_clip(tmp_path / "b4.mp4", square_images, codec="mpeg4", options={"bf": "2"})
    modes = []
    for arguments in ([square_clip], [foreign], [foreign, "--reencode", "never"], [silent, "--reencode", "never"]):
        result = stream(*arguments, "--stats", "s.json", "-y", "-o", "x.mp4", "-q")
        assert result.exit_code == 0, result.stderr
        assert result.stderr == ""
        stats = json.loads((tmp_path / "s.json").read_text())
        modes.append((stats["mode"], stats["reencoded"]))
    assert modes == [("auto", False), ("auto", False), ("auto", False), ("frame", False)]


def test_a_folder_and_a_glob_of_frames(stream, tmp_path, square_images):
    folder = tmp_path / "street"
    folder.mkdir()
    for i, image in enumerate(square_images[:5]):
        cv2.imwrite(str(folder / f"f{8 + i}.png"), image)
    for source, name in ((folder, "street"), (folder / "f*.png", "street")):
        result = stream(source, "--fps", "10", "--mode", "motion", "-y")
        assert result.exit_code == 0, result.stderr
        assert "still images" in result.stderr
        _, times, duration = facts(f"{name}_segmented.mp4")
        assert (times, duration) == ([Fraction(i, 10) for i in range(5)], Fraction(1, 2))


def test_odd_sizes(stream, tmp_path, make_clip, square_images):
    images = [image[:51, :75] for image in square_images]
    clip = make_clip(tmp_path / "odd.mp4", images, pixel_format="yuv444p")
    for mode in ("frame", "motion"):
        result = stream(clip, "--mode", mode, "-o", f"{mode}.mp4", "--save", "overlay,labels")
        assert result.exit_code == 0, result.stderr
        assert facts(f"{mode}.mp4")[0] == (51, 75)
        assert labels_in(tmp_path / f"{mode}_labels")[7].shape == (51, 75)


def test_a_part_of_the_video_has_the_whole_videos_labels(stream, tmp_path, square_clip):
    assert stream(square_clip, "--mode", "motion", "--save", "labels", "-o", "all.mp4").exit_code == 0
    part = stream(
        square_clip, "--mode", "motion", "--save", "labels", "-o", "part.mp4", "--start", "0.16", "--end", "0.36"
    )
    assert part.exit_code == 0, part.stderr
    few = stream(
        square_clip,
        "--mode",
        "motion",
        "--save",
        "overlay,labels",
        "-o",
        "few.mp4",
        "--start",
        "0.2",
        "--max-frames",
        "2",
    )
    assert few.exit_code == 0, few.stderr
    whole = labels_in(tmp_path / "all_labels")
    assert np.array_equal(labels_in(tmp_path / "part_labels"), whole[4:9])
    assert np.array_equal(labels_in(tmp_path / "few_labels"), whole[5:7])
    assert facts("few.mp4")[1:] == ([0, Fraction(1, 25)], Fraction(2, 25))


def test_nothing_in_the_range(stream, tmp_path, square_clip):
    result = stream(square_clip, "--start", "100")
    assert result.exit_code == 2
    assert "no frame between" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_existing_outputs(stream, tmp_path, square_clip):
    taken = tmp_path / "x.mp4"
    taken.write_text("precious")
    refused = stream(square_clip, "-o", "x.mp4")
    assert refused.exit_code == 2
    assert "-y" in refused.stderr
    kept = stream(square_clip, "-o", "x.mp4", "-n")
    assert kept.exit_code == 0
    assert taken.read_text() == "precious"
    both = stream(square_clip, "-o", "x.mp4", "-n", "--save", "overlay,rle", "--max-frames", "2")
    assert (both.exit_code, "'x.mp4' exists already and is left alone" in both.stderr) == (0, True)
    assert taken.read_text() == "precious"
    for name in ("x.rle.jsonl", "x.classes.json"):
        (tmp_path / name).unlink()
    assert "contradict each other" in stream(square_clip, "-o", "x.mp4", "-n", "-y").stderr
    assert stream(square_clip, "-o", "x.mp4", "-y").exit_code == 0
    assert facts(taken)[0] == (64, 96)
    assert [file.name for file in tmp_path.iterdir()] == ["x.mp4"]


def test_the_input_is_never_overwritten(stream, tmp_path, square_clip):
    copy = tmp_path / "x.mp4"
    copy.write_bytes(square_clip.read_bytes())
    result = stream(copy, "-o", copy, "-y")
    assert result.exit_code == 2
    assert "is the input itself" in result.stderr
    assert copy.read_bytes() == square_clip.read_bytes()


@pytest.fixture
def bad(tmp_path_factory, square_clip):
    """Inputs that cannot work, by name."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty folder").mkdir()
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    (folder / "zero.mp4").touch()
    data = square_clip.read_bytes()
    (folder / "truncated.mp4").write_bytes(data[: len(data) // 2])
    with av.open(str(folder / "audio.mp4"), "w") as container:
        audio = container.add_stream("aac", rate=44100)
        for i in range(5):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 44100, 1024 * i
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    (folder / "mixed").mkdir()
    for i, size in enumerate(((64, 96), (64, 96), (48, 96))):
        cv2.imwrite(str(folder / "mixed" / f"{i}.png"), np.zeros((*size, 3), np.uint8))
    return folder


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("missing.mp4", "motion", "no such file"),
        ("empty folder", "motion", "no image"),
        ("nothing*.png", "frame", "the pattern matches nothing"),
        ("text.mp4", "frame", "no video"),
        ("zero.mp4", "motion", "empty"),
        ("truncated.mp4", "motion", "cut off"),
        ("audio.mp4", "frame", "no video"),
    ],
)
def test_bad_input(stream, bad, tmp_path, name, mode, words):
    result = stream(bad / name, "--mode", mode, "--save", "overlay,labels,rle")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == (2 if "re-encoding" in result.stderr else 1)
    assert words in result.stderr
    assert name.split("*")[0] in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["frame", "motion"])
def test_a_picture_of_another_size_ends_the_run_and_what_came_before_is_kept(stream, bad, tmp_path, mode):
    result = stream(bad / "mixed", "--mode", mode, "--save", "labels", "-o", "x.mp4")
    assert result.exit_code == 1
    assert "96x48" in result.stderr
    assert "mixed" in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in (tmp_path / "x_labels").iterdir()) == ["000000.png", "000001.png"]


def test_a_video_cut_off_behind_its_index_gives_what_it_has(stream, tmp_path, make_clip, square_images):
    clip = make_clip(tmp_path / "x.mp4", square_images * 2, crf="1", muxer={"movflags": "faststart"})
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 2 // 3])
    result = stream(clip, "--mode", "motion")
    assert result.exit_code == 0
    frames = len(facts("x_segmented.mp4")[1])
    assert 4 < frames < 24
    assert f"ends after {frames} of 24 frames" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "no/where.mp4"], "no folder"),
        (["-o", "x.gif"], "unknown kind"),
        (["--save", "overlay,pixels"], "pixels"),
        (["--palette", "nonesuch"], "nonesuch"),
        (["--device", "tpu"], "tpu"),
        (["--device", "cuda:99"], "CUDA"),
        (["--live", "latest"], "no live source"),
    ],
)
def test_bad_requests(stream, tmp_path, square_clip, arguments, words):
    result = stream(square_clip, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_unknown_model(stream, tmp_path, square_clip):
    result = stream(square_clip, model="nonesuch")
    assert result.exit_code == 2
    assert "unknown model 'nonesuch'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where(stream, square_clip):
    assert "Traceback" in stream(square_clip, "--palette", "nonesuch", "--debug").stderr


def test_unwritable_output(model_file, tmp_path, square_clip):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    run = subprocess.run(
        command(model_file, square_clip, "-o", folder / "x.mp4"), capture_output=True, text=True, env=ENVIRONMENT
    )
    assert run.returncode == 2
    assert "permission" in run.stderr


def test_full_disk(stream, tmp_path, make_clip):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small tmpfs")
    try:
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (128, 192, 3), np.uint8) for _ in range(24)]
        clip = make_clip(tmp_path / "noise.mp4", images)
        for kinds in ("overlay", "labels,color"):
            result = stream(clip, "--mode", "motion", "-o", disk / "x.mp4", "--save", kinds)
            assert result.exit_code == 1
            assert "No space left" in result.stderr
            kept = [path.name for path in disk.iterdir()]
            assert kept == [] or "the outputs hold the frames before that, and --resume goes on" in result.stderr
            for path in disk.iterdir():
                discard(path)
        (disk / "filler").write_bytes(b"\0" * (64 << 10))  # no room for the first word of the notes
        result = stream(clip, "--mode", "motion", "-o", disk / "x.mp4", "--save", "rle")
        assert result.exit_code == 2
        assert "' cannot be written: No space left on device; choose another place" in result.stderr
        assert [path.name for path in disk.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def transport_stream(tmp_path, make_clip, square_images):
    """48 frames that can be read from a pipe."""
    return make_clip(tmp_path / "x.ts", square_images * 4, container="mpegts")


def test_standard_input(model_file, tmp_path, transport_stream):
    with transport_stream.open("rb") as file:
        run = subprocess.run(
            command(model_file, "-", "--mode", "motion"),
            cwd=tmp_path,
            stdin=file,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
        )
    assert run.returncode == 0, run.stderr
    _, times, duration = facts(tmp_path / "stdin_segmented.mp4")
    assert [round(float(t), 3) for t in times] == [i / 25 for i in range(48)]
    assert round(float(duration), 3) == 48 / 25


def test_interrupt_keeps_what_was_done(model_file, tmp_path, transport_stream):
    """A stream on standard input stalls: Ctrl-C must end the command and leave a playable video."""
    process = subprocess.Popen(
        command(model_file, "-", "--mode", "frame", "--save", "overlay,labels", "-o", "x.mp4"),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    feeder = threading.Thread(
        target=lambda: (process.stdin.write(transport_stream.read_bytes()), process.stdin.flush())
    )
    feeder.daemon = True
    feeder.start()
    for _ in range(1200):
        images = list(tmp_path.glob(".x_labels.part-*/*.png"))
        if len(images) >= 5 or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    finally:
        process.kill()
    errors = process.stderr.read().decode()
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    _, times, _ = facts(tmp_path / "x.mp4")
    assert len(times) >= 5
    assert len(labels_in(tmp_path / "x_labels")) == len(times)
    assert not list(tmp_path.glob(".*part*"))


def test_an_address(stream, tmp_path, square_clip):
    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(square_clip.parent))

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for live in ("all", "latest"):
            address = f"http://127.0.0.1:{server.server_port}/{square_clip.name}"
            result = stream(address, "--live", live, "--stats", "s.json", "-y")
            assert result.exit_code == 0, result.stderr
            stats = json.loads((tmp_path / "s.json").read_text())
            assert stats["frames"] + stats["dropped_frames"] == 12
            assert len(facts("square_segmented.mp4")[1]) == stats["frames"]
        server.shutdown()
    gone = stream(address, "-y")
    assert gone.exit_code == 2
    assert address in gone.stderr

import json
import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from gopseg.codec import Frame
from gopseg.files import TargetExistsError, part_of, publish
from gopseg.pipelines import Prediction, StreamUsageError, decode_mask
from gopseg.pipelines.outputs.overlay import Painter
from gopseg.pipelines.outputs.sinks import ColourImages, LabelImages, OutputSet, RunLengths
from gopseg.pipelines.outputs.video_output import OverlayVideo

COLOURS = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 200]], np.uint8)
LABELS = np.repeat(np.arange(3, dtype=np.uint8), 16)[None].repeat(32, 0)


def frame(index, pts=None, image=None, time_base=Fraction(1, 25)):
    image = np.full((*LABELS.shape, 3), 100, np.uint8) if image is None else image
    return Frame(
        index, index if pts is None else pts, time_base, "P", False, 1, image.shape[:2], load_image=lambda: image
    )


def prediction(of, labels=LABELS):
    return Prediction(of, labels)


def write(output, frames):
    output.start()
    for each in frames:
        output.write(each, prediction(each, np.zeros(each.size_hw, np.uint8)))
    output.finish()
    publish(output.part, output.target)


def test_label_images_are_paletted_and_exact(tmp_path):
    output = LabelImages(tmp_path / "x_labels", COLOURS)
    output.start()
    output.write(frame(5), prediction(frame(5)))
    assert not output.target.exists()
    output.finish()
    publish(output.part, output.target)
    with Image.open(tmp_path / "x_labels" / "000000.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), LABELS)
        assert np.array_equal(np.asarray(image.convert("RGB")), COLOURS[LABELS])


def test_colour_images(tmp_path):
    output = ColourImages(tmp_path / "x_color", Painter(COLOURS))
    output.start()
    output.write(frame(0), prediction(frame(0)))
    publish(output.part, output.target)
    with Image.open(tmp_path / "x_color" / "000000.png") as image:
        assert np.array_equal(np.asarray(image), COLOURS[LABELS])


def test_run_lengths_decode_to_the_labels(tmp_path):
    output = RunLengths(tmp_path / "x.rle.jsonl", ("ground", "red", "blue"))
    output.start()
    for index in (4, 5):
        output.write(frame(index), prediction(frame(index)))
    output.finish()
    publish(output.part, output.target)
    lines = [json.loads(line) for line in output.target.read_text().splitlines()]
    assert [(line["frame"], line["source_frame"], line["pts_seconds"]) for line in lines] == [(0, 4, 0.16), (1, 5, 0.2)]
    assert [segment["category"] for segment in lines[0]["segments"]] == ["ground", "red", "blue"]
    for segment in lines[1]["segments"]:
        code = segment["segmentation"]
        assert np.array_equal(decode_mask(code["counts"], tuple(code["size"])), segment["category_id"] == LABELS)


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "x_labels"
    target.mkdir()
    (target / "000099.png").touch()
    write(LabelImages(target, COLOURS), [frame(0)])
    assert [file.name for file in target.iterdir()] == ["000000.png"]
    assert [file.name for file in tmp_path.iterdir()] == ["x_labels"]


def test_nothing_is_left_of_what_is_discarded(tmp_path):
    outputs = OutputSet(
        [
            OverlayVideo(tmp_path / "x.mp4", Painter(COLOURS), Fraction(25), print),
            LabelImages(tmp_path / "x_labels", COLOURS),
            RunLengths(tmp_path / "x.rle.jsonl", ()),
        ]
    )
    outputs.start()
    outputs.write(frame(0), prediction(frame(0)))
    assert len(list(tmp_path.iterdir())) == 3
    outputs.discard()
    assert list(tmp_path.iterdir()) == []


def test_one_output_that_cannot_start_takes_the_others_back(tmp_path):
    outputs = OutputSet([LabelImages(tmp_path / "x", COLOURS), LabelImages(tmp_path / "no" / "folder", COLOURS)])
    with pytest.raises(StreamUsageError, match="cannot be written"):
        outputs.start()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_flushed_does_not_keep_the_others(tmp_path):
    outputs = OutputSet(
        [RunLengths(tmp_path / "x.rle.jsonl", ("ground",)), LabelImages(tmp_path / "x_labels", COLOURS)]
    )
    outputs.start()
    outputs.outputs[0]._file.close()
    outputs.outputs[0]._file = open("/dev/full", "w")  # noqa: SIM115 - which is always full
    outputs.outputs[0]._file.write("pending")
    outputs.discard()
    assert list(tmp_path.iterdir()) == []


def test_what_another_run_has_made_meanwhile_is_left_alone(tmp_path):
    outputs = OutputSet(
        [RunLengths(tmp_path / "x.rle.jsonl", ("ground",)), LabelImages(tmp_path / "x_labels", COLOURS)], replace=False
    )
    outputs.start()
    outputs.write(frame(0), prediction(frame(0)))
    (tmp_path / "x_labels").mkdir()
    with pytest.raises(TargetExistsError, match="x_labels: appeared while it was being written"):
        outputs.publish()
    outputs.discard()
    assert [file.name for file in tmp_path.iterdir()] == ["x_labels"]
    assert list((tmp_path / "x_labels").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are told apart by /proc")
def test_a_part_of_a_run_that_goes_on_is_not_adopted(tmp_path):
    part = part_of(tmp_path / "x_labels")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        theirs = part.with_name(part.name.replace(f"-{os.getpid()}-", f"-{other.pid}-"))
        theirs.mkdir()
        for index in range(3):
            (theirs / f"{index:06d}.png").touch()
        output = LabelImages(tmp_path / "x_labels", COLOURS)
        assert (output.leftovers(), output.recover(is_published=False)) == ([], 0)
    assert (output.leftovers(), output.recover(is_published=False)) == ([theirs], 2)


def test_painter_blends():
    painter = Painter(COLOURS, 0.25)
    image = np.full((*LABELS.shape, 3), 100, np.uint8)
    assert np.abs(painter.overlay(image, LABELS) - (75 + COLOURS[LABELS] * 0.25)).max() <= 1
    assert (painter.colour(np.full((2, 2), 77, np.uint8)) == 0).all()


def test_occluded_cells_are_hatched():
    painter = Painter(COLOURS, 1.0)
    occluded = np.zeros((2, 2), np.bool_)
    occluded[0, 1] = True
    labels = np.zeros((32, 48), np.uint8)
    drawn = painter.overlay(np.zeros((32, 48, 3), np.uint8), labels, occluded)
    white = (drawn == 255).all(2)
    assert 0.2 < white[:16, 24:].mean() < 0.3
    assert white.sum() == white[:16, 24:].sum()


def read(file):
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        pictures = list(container.decode(stream))
        unit, rate, duration = stream.time_base, stream.average_rate, stream.duration * stream.time_base
        return pictures, [picture.pts * unit for picture in pictures], rate, duration


@pytest.mark.parametrize("size_hw", [(32, 48), (33, 48), (32, 47), (51, 75)])
def test_overlay_keeps_size_and_colours(tmp_path, size_hw):
    colour = np.array([200, 90, 40], np.uint8)
    frames = [frame(i, image=np.broadcast_to(colour, (*size_hw, 3)).copy()) for i in range(3)]
    write(OverlayVideo(tmp_path / "x.mp4", Painter(COLOURS, 0.0), Fraction(25), lambda *_: None), frames)
    pictures, _, _, _ = read(tmp_path / "x.mp4")
    assert len(pictures) == 3
    for picture in pictures:
        rgb = picture.to_ndarray(format="rgb24")
        assert rgb.shape[:2] == size_hw
        assert np.abs(rgb.astype(int) - colour).max() <= 6


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(15)])
def test_overlay_keeps_rate_and_duration(tmp_path, rate):
    frames = [frame(i, time_base=1 / rate) for i in range(31)]
    write(OverlayVideo(tmp_path / "x.mp4", Painter(COLOURS), rate, lambda *_: None), frames)
    _, times, average, duration = read(tmp_path / "x.mp4")
    assert times == [i / rate for i in range(31)]
    assert (average, duration) == (rate, 31 / rate)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_overlay_keeps_a_variable_rate(tmp_path, suffix):
    unit = Fraction(1, 1000)
    stamps = [500, 533, 600, 1100, 1107, 2000]
    frames = [frame(i, pts, time_base=unit) for i, pts in enumerate(stamps)]
    write(OverlayVideo(tmp_path / f"x{suffix}", Painter(COLOURS), Fraction(25), lambda *_: None), frames)
    with av.open(str(tmp_path / f"x{suffix}")) as container:
        times = [picture.pts * container.streams.video[0].time_base for picture in container.decode(video=0)]
    assert times == [(pts - 500) * unit for pts in stamps]


def test_overlay_without_timestamps_follows_the_rate(tmp_path):
    frames = [
        Frame(i, None, Fraction(1, 90000), "P", False, 1, (32, 48), load_image=frame(i).load_image) for i in range(5)
    ]
    write(OverlayVideo(tmp_path / "x.mp4", Painter(COLOURS), Fraction(10), lambda *_: None), frames)
    _, times, _, duration = read(tmp_path / "x.mp4")
    assert times == [Fraction(i, 10) for i in range(5)]
    assert duration == Fraction(1, 2)


def test_an_unknown_kind_of_video_is_refused(tmp_path):
    with pytest.raises(StreamUsageError, match=r"take one of .mp4"):
        OverlayVideo(tmp_path / "x.gif", Painter(COLOURS), Fraction(25), print)

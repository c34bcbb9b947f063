"""`preprocess extract`: what is in the archive, how it is written, and how it is read back."""

from __future__ import annotations

import hashlib
import json
import resource
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import Result

from gopseg.codec import InvalidDataError, MotionField, SourceError, open_video
from gopseg.data import SyntheticStreet
from gopseg.preprocess import load_metadata
from gopseg.preprocess.extract.extraction import extract as extract_metadata

Command = Callable[..., Result]
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def archive(corpus_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("archive") / "walk.npz"
    extract_metadata(str(corpus_video), file)
    return file


def test_every_array_has_the_shape_and_type_of_the_contract(archive: Path) -> None:
    with np.load(archive, allow_pickle=False) as arrays:
        found = {name: (arrays[name].dtype.str, arrays[name].shape) for name in arrays}
    assert found.pop("meta")[1] == ()
    assert found == {
        "pict_type": ("<U1", (40,)),
        "pts": ("<i8", (40,)),
        "packet_bytes": ("<i8", (40,)),
        "key_index": ("<i8", (40,)),
        "qp": ("|i1", (40, 6, 8)),
        "motion": ("<i2", (40, 12, 16, 2)),
        "composed": ("<i2", (40, 24, 32, 2)),
        "intra": ("|b1", (40, 12, 16)),
    }


def test_types_times_sizes_and_quantisers_are_those_that_pyav_reads(archive: Path, corpus_video: Path) -> None:
    with av.open(str(corpus_video)) as container:
        sizes = {packet.pts: packet.size for packet in container.demux(video=0) if packet.size}
    with av.open(str(corpus_video)) as container:
        container.streams.video[0].codec_context.options = {"export_side_data": "venc_params"}
        pictures = [
            (" IPB"[p.pict_type], p.pts, p.side_data.get("VIDEO_ENC_PARAMS").qp_map())
            for p in container.decode(video=0)
        ]
    data = load_metadata(archive)
    assert "".join(data.pict_type) == "".join(kind for kind, _, _ in pictures) == ("I" + 11 * "P") * 3 + "IPPP"
    assert data.pts.tolist() == [pts for _, pts, _ in pictures]
    assert data.packet_bytes.tolist() == [sizes[pts] for _, pts, _ in pictures]
    assert data.key_index.tolist() == [index // 12 * 12 for index in range(40)]
    np.testing.assert_array_equal(data.qp, np.stack([qp for _, _, qp in pictures]))


def test_motion_is_every_vector_in_quarter_pixels_and_intra_the_rest(archive: Path, corpus_video: Path) -> None:
    data = load_metadata(archive)
    motion, intra = np.zeros((40, 12, 16, 2), int), np.ones((40, 12, 16), bool)
    with av.open(str(corpus_video)) as container:
        container.streams.video[0].codec_context.options = {"flags2": "+export_mvs"}
        for index, picture in enumerate(container.decode(video=0)):
            vectors = picture.side_data.get("MOTION_VECTORS")
            for vector in [] if vectors is None else vectors.to_ndarray():
                rows = slice((vector["dst_y"] - vector["h"] // 2) // 8, (vector["dst_y"] + vector["h"] // 2) // 8)
                cols = slice((vector["dst_x"] - vector["w"] // 2) // 8, (vector["dst_x"] + vector["w"] // 2) // 8)
                motion[index, rows, cols] = vector["motion_x"], vector["motion_y"]
                intra[index, rows, cols] = False
    np.testing.assert_array_equal(data.motion, motion)
    np.testing.assert_array_equal(data.intra, intra)
    assert intra[::12].all()
    assert intra[1:12].mean() < 0.2


def test_composed_leads_back_to_the_keyframe_along_the_camera_s_way(archive: Path) -> None:
    data = load_metadata(archive)
    assert not data.composed[::12].any()
    for distance in (1, 4, 8):  # the camera moves 3 right and 2 down a frame: what is here was right and below
        middle = data.composed[12 + distance, 4:12, 4:16].reshape(-1, 2)
        np.testing.assert_allclose(np.median(middle, axis=0), (12 * distance, 8 * distance), atol=2)


def test_composed_follows_each_position_through_motion(archive: Path) -> None:
    data = load_metadata(archive)
    for row, col in ((0, 0), (3, 7), (12, 16), (23, 31)):
        start_x, start_y = x, y = 16 * col + 8, 16 * row + 8  # quarter pixels of the cell's centre
        for index in range(20, 12, -1):
            dx, dy = data.motion[index, y // 32, x // 32]
            x, y = min(max(x + int(dx), 2), 4 * 128 - 2), min(max(y + int(dy), 2), 4 * 96 - 2)
        assert data.composed[20, row, col].tolist() == [x - start_x, y - start_y]


def test_meta_names_schema_size_and_source(archive: Path, corpus_video: Path) -> None:
    meta = json.loads(str(np.load(archive)["meta"]))
    assert meta["schema_version"] == 3
    assert (meta["references"], meta["motion_absence"], meta["confidence_mean"]) == ("previous", None, None)
    assert meta["size_hw"] == [96, 128]
    assert meta["frame_count"] == 40
    assert meta["source"] == {
        "name": "walk.mp4",
        "sha256": hashlib.sha256(corpus_video.read_bytes()).hexdigest(),
        "bytes": corpus_video.stat().st_size,
        "stream": "stream 0 (h264, 128x96, default)",
        "asked_stream": None,
    }
    assert meta["codec"] == "h264"
    assert meta["frame_rate"] == "25"
    assert "x_ref = x + motion[..., 0] / 4" in meta["conventions"]["motion"]


def test_load_metadata_gives_fields_back(archive: Path, corpus_video: Path) -> None:
    data = load_metadata(archive, arrays=("motion", "intra"))
    assert data.qp is None
    assert data.composed is None
    assert data.frame_rate == Fraction(25)
    assert data.size_hw == (96, 128)
    assert len(data) == 40
    assert repr(data) == "Metadata(40 frames of 128x96 from 'walk.mp4': motion, intra)"
    with open_video(corpus_video, pixels=False) as video:
        for frame in video:
            if frame.motion is not None:
                field, ours = MotionField.from_vectors(frame.motion), data.motion_field(frame.index)
                np.testing.assert_array_equal(ours.displacement, field.displacement)
                np.testing.assert_array_equal(ours.unreferenced, field.unreferenced)
    with pytest.raises(ValueError, match="needs the arrays motion and intra"):
        load_metadata(archive, arrays=("qp",)).motion_field(1)
    with pytest.raises(ValueError, match=r"\['flow'\] are unknown"):
        load_metadata(archive, arrays=("flow",))


def test_the_command_writes_the_same_bytes_and_says_how_many(
    extract: Command, corpus_video: Path, archive: Path, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "walk.npz"
    result = extract(corpus_video, "-o", file)
    assert result.exit_code == 0
    assert file.read_bytes() == archive.read_bytes()
    share = file.stat().st_size / corpus_video.stat().st_size
    assert result.stderr == f"{file}: 40 frames of 128x96, {file.stat().st_size:,} bytes, {share:.0%} of the video\n"
    assert list(file.parent.iterdir()) == [file]


def test_without_leaves_arrays_out(extract: Command, corpus_video: Path, archive: Path, tmp_path: Path) -> None:
    file = tmp_path / "walk.npz"
    assert extract(corpus_video, "-o", file, "--without", "composed, qp").exit_code == 0
    assert {"composed.npy", "qp.npy"}.isdisjoint(zipfile.ZipFile(file).namelist())
    data, whole = load_metadata(file), load_metadata(archive)
    assert data.composed is None
    assert data.qp is None
    np.testing.assert_array_equal(data.motion, whole.motion)
    bad = extract(corpus_video, "-o", file, "--without", "flow")
    assert bad.exit_code == 2
    assert "'flow' is not one of qp, motion, reference, confidence, vectors, composed, intra" in bad.stderr


@pytest.mark.parametrize("size_hw", [(50, 70), (36, 130)])
def test_sizes_that_no_block_divides_have_cells_for_the_rest(
    make, encode: Command, extract: Command, size_hw: tuple[int, int], tmp_path: Path
) -> None:
    make.video(tmp_path / "source.mp4", make.moving(5, size_hw))
    encode(tmp_path / "source.mp4", "-o", tmp_path / "out")
    assert extract(tmp_path / "out" / "source.mp4", "-o", tmp_path / "a.npz").exit_code == 0
    data = load_metadata(tmp_path / "a.npz")
    for array, cell in ((data.qp, 16), (data.motion, 8), (data.intra, 8), (data.composed, 4)):
        assert array.shape[1:3] == (-(-size_hw[0] // cell), -(-size_hw[1] // cell))


def test_an_existing_file_is_refused_kept_or_replaced(extract: Command, corpus_video: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    file.write_text("mine")
    refused = extract(corpus_video, "-o", file)
    assert refused.exit_code == 2
    assert refused.stderr == f"Error: {file}: exists; give -y to replace it, or -n to keep it\n"
    kept = extract(corpus_video, "-o", file, "-n")
    assert kept.exit_code == 0
    assert "is kept" in kept.stderr
    assert file.read_text() == "mine"
    assert extract(corpus_video, "-o", file, "-y").exit_code == 0
    assert len(load_metadata(file)) == 40
    itself = extract(file, "-o", file, "-y")
    assert itself.exit_code == 2
    assert "is the source itself" in itself.stderr
    folder = extract(corpus_video, "-o", tmp_path, "-y")
    assert folder.exit_code == 2
    assert "is a folder; give a file" in folder.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("interlaced", "the stream is coded as interlaced"),
        ("hevc", "FFmpeg exports no motion vectors for this codec"),
    ],
)
def test_streams_without_usable_motion_are_refused_with_the_reason(
    extract: Command, foreign: Callable[[str], Path], name: str, reason: str, tmp_path: Path
) -> None:
    file, source = tmp_path / "a.npz", foreign(name)
    result = extract(source, "-o", file)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {source}: {reason}, so there is no motion to the previous frame")
    assert "run `preprocess encode` on it first" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert extract(source, "-o", file, "--without", "motion,composed,intra").exit_code == 0
    data = load_metadata(file)
    assert len(data) == 20
    assert data.motion is None
    assert data.vectors is None
    assert (data.qp == -128).all() == (name == "hevc")  # whose quantisers FFmpeg does not export


@pytest.mark.parametrize("name", ["bframes", "references"])
def test_without_motion_nothing_is_recovered(
    extract: Command, foreign: Callable[[str], Path], name: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.npz"
    assert extract(foreign(name), "-o", file, "--without", "motion,composed,intra").exit_code == 0
    data = load_metadata(file)
    assert data.info["arrays"] == ["qp"]
    assert (data.info["references"], data.reference, data.vectors) == (None, None, None)
    assert ("B" in data.pict_type) == (name == "bframes")


def test_bad_sources_leave_nothing(extract: Command, make, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    make.folder(tmp_path / "frames", make.moving(2))
    out = tmp_path / "out"
    for source, cause in (
        ("missing.mp4", "no such file; check the path"),
        ("text.mp4", "no video in it"),
        ("frames", "is a folder, and still images carry no codec metadata; run `preprocess encode`"),
    ):
        result = extract(tmp_path / source, "-o", out / "a.npz")
        assert result.exit_code == 2
        assert cause in result.stderr
        assert result.stderr.count("\n") == 1
        assert not out.exists() or not list(out.iterdir())


def test_a_change_of_size_on_the_way_is_refused(extract: Command, make, tmp_path: Path) -> None:
    stream = b""
    for number, size_hw in enumerate([(96, 128), (64, 96)]):
        part = make.video(
            tmp_path / f"{number}.h264", make.moving(4, size_hw), options={"x264-params": "bframes=0:ref=1:weightp=0"}
        )
        stream += part.read_bytes()
    (tmp_path / "both.h264").write_bytes(stream)
    (tmp_path / "out").mkdir()
    result = extract(tmp_path / "both.h264", "-o", tmp_path / "out" / "a.npz")
    assert result.exit_code == 2
    assert "frame 4 is 96x64 after 128x96; cut it there" in result.stderr
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_that_takes_no_more_is_a_failure_and_leaves_nothing(
    extract: Command, corpus_video: Path, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        result = extract(corpus_video, "-o", tmp_path / "a.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code == 1
    assert f"Error: {tmp_path / 'a.npz'}: cannot be written (File too large)" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", ["reading", "packing"])
def test_an_interrupt_leaves_nothing(corpus_video: Path, tmp_path: Path, moment: str) -> None:
    def interrupt(*_: object) -> None:
        assert len(list(tmp_path.iterdir())) == 1  # the hidden folder
        raise KeyboardInterrupt

    hooks = {"on_frame": interrupt} if moment == "reading" else {"on_packing": lambda _: interrupt}
    with pytest.raises(KeyboardInterrupt):
        extract_metadata(str(corpus_video), tmp_path / "a.npz", **hooks)
    assert not list(tmp_path.iterdir())


def rewritten(archive: Path, file: Path, **changes: object) -> Path:
    with np.load(archive) as arrays:
        content = {name: arrays[name] for name in arrays}
    np.savez(file, **{name: array for name, array in (content | changes).items() if array is not None})
    return file


def test_archives_of_another_kind_are_refused(archive: Path, tmp_path: Path) -> None:
    meta = json.loads(str(np.load(archive)["meta"]))
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    np.save(tmp_path / "single.npy", np.zeros(3))
    cut = tmp_path / "cut.npz"
    cut.write_bytes(archive.read_bytes()[:-500])
    flipped, where = bytearray(archive.read_bytes()), zipfile.ZipFile(archive).getinfo("motion.npy").header_offset
    flipped[where + 300] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(flipped)
    newer = np.array(json.dumps(meta | {"schema_version": 4}))
    for file, cause in (
        (text, "is no archive of `preprocess extract`"),
        (tmp_path / "single.npy", "is a single array"),
        (cut, "is no archive of `preprocess extract`"),
        (tmp_path / "flipped.npz", "is damaged"),
        (rewritten(archive, tmp_path / "a.npz", meta=None), "has no `meta`"),
        (rewritten(archive, tmp_path / "b.npz", meta=newer), "is of schema version 4, and this gopseg reads 3"),
        (rewritten(archive, tmp_path / "c.npz", motion=np.zeros((40, 12, 16, 2))), r"its motion is float64 \(40"),
        (rewritten(archive, tmp_path / "d.npz", qp=np.zeros((39, 6, 8), np.int8)), r"its qp is int8 \(39, 6, 8\)"),
        (rewritten(archive, tmp_path / "e.npz", intra=None), "is damaged"),
    ):
        with pytest.raises(InvalidDataError, match=cause) as error:
            load_metadata(file)
        assert str(file) in str(error.value)
    with pytest.raises(SourceError, match="cannot be read"):
        load_metadata(tmp_path / "missing.npz")


def test_the_archive_is_smaller_than_the_video_at_3_mbit(encode: Command, extract: Command, tmp_path: Path) -> None:
    """On a rendered drive of a second, and on CamVid's val where it is."""
    drive = tmp_path / "drive"
    drive.mkdir()
    for number, (image, _) in enumerate(SyntheticStreet(3, (360, 480), 15).frames(15)):
        cv2.imwrite(str(drive / f"{number:06d}.png"), image[..., ::-1])
    for folder in filter(Path.is_dir, (drive, SHARED / "camvid" / "val")):
        video, archive = (tmp_path / f"{folder.name}{suffix}" for suffix in (".mp4", ".npz"))
        encode(folder, "-o", tmp_path, "--bitrate", "3M", "--fps", "15")
        assert extract(video, "-o", archive).exit_code == 0
        assert archive.stat().st_size < 0.8 * video.stat().st_size

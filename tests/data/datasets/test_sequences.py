"""Labelled video in the layouts of CamVid, Cityscapes and AR-Seg's pre-processing, and the clips cut from it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from gopseg.data import VOID, CamVid, CamVid12, Cityscapes, DatasetError
from gopseg.data.class_lists import CAMVID, CAMVID_AUTHORS
from gopseg.data.datasets.layouts.ar_seg import ProcessedFrames, read_motion_map
from gopseg.data.datasets.layouts.camvid_video import camvid_dense, camvid_sparse, extracted_frame
from gopseg.data.datasets.layouts.cityscapes_files import cityscapes_sequences
from gopseg.data.datasets.sequences import LabelledSequence, dense_clips, limited, sparse_clips

SHARED = Path(__file__).parents[4] / "shared" / "data" / "camvid"


def write(path, value, channels=3, size_hw=(6, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size_hw if channels == 1 else (*size_hw, channels)
    assert cv2.imwrite(str(path), np.full(shape, value, np.uint8))


def sequence(frames, labelled):
    images = tuple(Path(f"{i}.png") for i in range(frames))
    return LabelledSequence("s", images, {i: Path(f"l{i}.png") for i in labelled}, lambda path: path, {})


def test_dense_clips_show_every_frame_at_every_distance():
    clips = list(dense_clips(sequence(9, range(9)), 4))
    assert [(clip.start, clip.stop) for clip in clips] == [(0, 9), (1, 9), (2, 9), (3, 9)]
    seen = {(clip.start + i, i % clip.gop) for clip in clips for i in clip.scored}
    assert {(frame, d) for frame in range(3, 9) for d in range(4)} <= seen
    assert (0, 1) not in seen
    with pytest.raises(DatasetError, match="1 of 9 frames"):
        next(dense_clips(sequence(9, [3]), 4))


def test_sparse_clips_begin_d_frames_before_each_label_and_are_shared():
    clips = list(sparse_clips(sequence(40, [10, 12]), 4))
    found = {(clip.start, clip.scored) for clip in clips}
    assert found == {(7, (3,)), (8, (2,)), (9, (1, 3)), (10, (0, 2)), (11, (1,)), (12, (0,))}
    assert {len(clip) for clip in clips} == {4}
    seen = sorted((clip.start + d, d) for clip in clips for d in clip.scored)
    assert seen == [(frame, d) for frame in (10, 12) for d in range(4)]
    cut = list(sparse_clips(sequence(40, [10, 12]), 4, cut_after_last=True))
    assert [len(clip) for clip in cut] == [1 + max(clip.scored) for clip in cut]


def test_sparse_clips_stay_within_the_recording():
    clips = list(sparse_clips(sequence(12, [1, 11]), 4))
    assert [(clip.start, clip.stop) for clip in clips] == [(0, 4), (1, 5), (8, 12), (9, 12), (10, 12), (11, 12)]


def test_a_limit_counts_labelled_frames():
    dense, sparse = sequence(9, range(9)), sequence(40, [10, 12])
    kept = limited([dense, sparse], 10)
    assert [(len(s), sorted(s.label_files)) for s in kept] == [(9, list(range(9))), (40, [10])]
    assert [len(s) for s in limited([dense, sparse], 4)] == [4]


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("0001TP_006690", ("0001TP", 31)),
        ("0001TP_010380", ("0001TP", 3721)),
        ("0006R0_f00930", ("0006R0", 932)),
        ("0016E5_08640", ("0016E5", 8642)),
        ("Seq05VD_f00000", ("Seq05VD", 2)),
    ],
)
def test_annotations_are_found_in_the_extracted_videos(name, frame):
    """The mapping of AR-Seg's pre-processing (Hu et al., CVPR 2023)."""
    assert extracted_frame(name) == frame


def test_foreign_names_are_refused():
    with pytest.raises(DatasetError, match="no annotated frame"):
        extracted_frame("0001TP_f00001")


@pytest.fixture
def camvid(tmp_path):
    """Two scenes of video in the authors' numbering; labels in colour."""
    root = tmp_path / "CamVid"
    for name in ("0016E5_00390", "0016E5_00392", "Seq05VD_f00000"):
        write(root / "test" / f"{name}.png", 9)
        write(root / "test_labels" / f"{name}_L.png", CAMVID["car"][::-1])
    for scene, first, last in (("0016E5", 388, 396), ("Seq05VD", 1, 6)):
        for i in range(first, last + 1):
            write(root / "frames" / scene / f"{scene}_{i:06d}.png", i % 256)
    return root


def test_sparse_camvid_finds_its_frames(camvid):
    first, second = camvid_sparse(CamVid(camvid).stills("test"), camvid / "frames")
    assert (first.name, sorted(first.label_files), len(first)) == ("0016E5", [4, 6], 9)
    assert first.image(4)[0, 0, 0] == 392 % 256
    assert (first.labels(4) == list(CAMVID).index("car")).all()
    assert (second.frame_name(1), second.frame_name(2)) == ("Seq05VD_f00000", "Seq05VD_000003")
    # Seq05VD_f00000 is extracted frame 2: it has no room for d >= 2.
    assert sorted(d for clip in sparse_clips(second, 12) for d in clip.scored) == [0, 1]


def test_holes_and_missing_frames_are_refused(camvid):
    (camvid / "frames" / "0016E5" / "0016E5_000391.png").unlink()
    with pytest.raises(DatasetError, match="holes"):
        camvid_sparse(CamVid(camvid).stills("test"), camvid / "frames")
    for path in (camvid / "frames" / "0016E5").glob("*39[0-4].png"):
        path.unlink()
    for path in (camvid / "frames" / "0016E5").glob("*38*.png"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"lacks 2 annotated frames, first that of '0016E5_00390'"):
        camvid_sparse(CamVid(camvid).stills("test"), camvid / "frames")


def test_dense_camvid_is_told_from_stills(tmp_path):
    for folder in ("val", "valannot"):
        for number in (4, 6, 8):
            write(tmp_path / folder / f"0016E5_{number:05d}.png", 3, channels=1)
    (one,) = camvid_dense(CamVid(tmp_path).stills("val"))
    assert (one.name, len(one), one.is_dense) == ("0016E5", 3, True)
    for folder in ("val", "valannot"):
        write(tmp_path / folder / "0016E5_00038.png", 3, channels=1)
    with pytest.raises(DatasetError, match="2 to 30 apart"):
        camvid_dense(CamVid(tmp_path).stills("val"))


def test_the_shared_val_is_dense_and_test_is_not():
    if not SHARED.is_dir():
        pytest.skip("the shared CamVid is not here")
    (one,) = camvid_dense(CamVid(SHARED).stills("val"))
    assert (one.name, len(one), one.is_dense) == ("0016E5", 48, True)
    with pytest.raises(DatasetError, match="30 apart"):
        camvid_dense(CamVid(SHARED).stills("test"))


def test_twelve_classes_score_void_and_ignore_what_is_merged_into_the_eleven(tmp_path):
    """AR-Seg's label set: twelve exact colours, everything else ignored."""
    row = np.array([colour for colour, _ in CAMVID_AUTHORS.values()] + [(1, 2, 3)], np.uint8)
    for folder, name in (("val", "a"), ("val_labels", "a_L")):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / f"{name}.png"), np.tile(row, (4, 1, 1))[..., ::-1])
    data = CamVid12(tmp_path).stills("val")
    assert CamVid12.classes == (*CAMVID, "void")
    expected = [
        CamVid12.classes.index(group) if group is not None and CAMVID[group] == colour else VOID
        for colour, group in CAMVID_AUTHORS.values()
    ]
    expected[list(CAMVID_AUTHORS).index("Void")] = 11
    labels = data[0].labels[0]
    np.testing.assert_array_equal(labels, [*expected, VOID])
    assert sorted(set(labels.tolist())) == [*range(12), VOID]


def test_indexed_labels_keep_void_as_a_class_where_it_is_asked_for(tmp_path):
    write(tmp_path / "val" / "a.png", 3)
    write(tmp_path / "val_labels_with_ignored" / "a_L.png", 11, channels=1)
    assert (CamVid12(tmp_path).stills("val")[0].labels == 11).all()
    assert (CamVid(tmp_path).stills("val")[0].labels == VOID).all()


@pytest.fixture
def cityscapes(tmp_path):
    """A labelled still and its snippet of 30 frames, in Cityscapes' layout."""
    name = "ulm_000003_000019"
    write(tmp_path / "leftImg8bit" / "val" / "ulm" / f"{name}_leftImg8bit.png", 19)
    labels = np.array([[0, 7, 8, 11, 33, 29, 24, 255]] * 6, np.uint8)
    path = tmp_path / "gtFine" / "val" / "ulm" / f"{name}_gtFine_labelIds.png"
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), labels)
    for number in range(30):
        write(tmp_path / f"leftImg8bit_sequence/val/ulm/ulm_000003_{number:06d}_leftImg8bit.png", number)
    write(tmp_path / "leftImg8bit_sequence/val/ulm/ulm_000004_000000_leftImg8bit.png", 1)
    return tmp_path


def test_cityscapes_stills_and_snippets(cityscapes):
    data = Cityscapes(cityscapes).stills("val")
    train_ids = [VOID, 0, 1, 2, 18, VOID, 11, VOID]
    np.testing.assert_array_equal(data[0].labels[0], train_ids)
    (snippet,) = cityscapes_sequences(cityscapes, "val")
    assert (len(snippet), dict(snippet.label_files).keys(), snippet.is_dense) == (30, {19}, False)
    assert snippet.image(19)[0, 0, 0] == 19
    np.testing.assert_array_equal(snippet.labels(19)[0], train_ids)
    assert snippet.frame_name(19) == "ulm_000003_000019"
    assert [clip.start for clip in sparse_clips(snippet, 12)] == list(range(8, 20))


def test_cityscapes_without_its_frames_is_refused(cityscapes):
    (cityscapes / "leftImg8bit_sequence/val/ulm/ulm_000003_000019_leftImg8bit.png").unlink()
    with pytest.raises(DatasetError, match=r"lacks the frames of 1 labels"):
        cityscapes_sequences(cityscapes, "val")
    with pytest.raises(DatasetError, match="no folder"):
        Cityscapes(cityscapes).stills("train")


def test_processed_camvid(tmp_path):
    root = tmp_path / "3M-GOP12"
    for d in (0, 3):
        decoded = root / f"decoded_GOP12_dist_{d}"
        write(decoded / "test" / "0001TP_008550.png", 10 + d)
        write(decoded / "test_labels_with_ignored" / "0001TP_008550_L.png", 11, channels=1)
        write(root / "frames" / "0001TP" / f"0001TP_{8550 - 6659 - d:06d}.png", 50 + d)
    motion = root / "MVmap_GOP12_dist_3" / "0001TP" / "0001TP_008550.bin"
    motion.parent.mkdir(parents=True)
    field = np.zeros((6, 8, 2), "<i2")
    field[..., 0], field[..., 1] = -8, 6
    field.tofile(motion)
    data = ProcessedFrames(root, "test")
    assert (data.gop, data.tag, data.is_cityscapes) == (12, "3M", False)
    (frame,) = data.at(3)
    assert (frame.name, frame.motion) == ("0001TP_008550", motion)
    assert cv2.imread(str(frame.keyframe))[0, 0, 0] == 53
    assert (data.read_labels(frame.label) == 11).all()
    np.testing.assert_array_equal(read_motion_map(motion, (6, 8))[2, 3], [-2.0, 1.5])
    assert data.at(0)[0].motion is None
    with pytest.raises(DatasetError, match="192 bytes"):
        read_motion_map(motion, (6, 9))
    motion.unlink()
    with pytest.raises(DatasetError, match="missing"):
        data.at(3)


def test_processed_cityscapes(tmp_path):
    root = tmp_path / "5M-GOP12"
    name = "ulm_000003_000019"
    for d in (0, 2):
        decoded = root / f"decoded_GOP12_dist_{d}"
        write(decoded / f"leftImg8bit/val/ulm/{name}_gtFine_leftImg8bit.png", 1)
        write(decoded / f"gtFine/val/ulm/{name}_gtFine_labelIds.png", 7, channels=1)
        write(root / f"frames/val/ulm/ulm_000003_{19 - d:06d}_leftImg8bit.png", 2)
    write(root / f"MVmap_GOP12_dist_2/val/ulm/{name}_gtFine_leftImg8bit.png", 0)
    motion = root / f"MVmap_GOP12_dist_2/val/ulm/{name}_gtFine_leftImg8bit.bin"
    np.zeros((6, 8, 2), "<i2").tofile(motion)
    data = ProcessedFrames(root, "val")
    (frame,) = data.at(2)
    assert (data.is_cityscapes, frame.name, frame.motion) == (True, name, motion)
    assert frame.keyframe.name == "ulm_000003_000017_leftImg8bit.png"
    assert (data.read_labels(frame.label) == 0).all()


def test_a_folder_without_processed_frames_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="tag folder"):
        ProcessedFrames(tmp_path, "test")


def test_a_file_that_is_not_named_as_cityscapes_files_are(tmp_path):
    write(tmp_path / "leftImg8bit_sequence" / "val" / "bonn" / "0001TP_leftImg8bit.png", 0)
    with pytest.raises(DatasetError, match=r"0001TP_leftImg8bit.png': its name is not CITY_000000_000019"):
        cityscapes_sequences(tmp_path, "val")

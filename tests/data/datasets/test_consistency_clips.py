import json
from itertools import pairwise
from pathlib import Path

import pytest

from gopseg.data.datasets.consistency_clips import clip_around
from gopseg.data.sample import DatasetError

SAMPLED = Path(__file__).parent / "etc_sampled_frames.json"


def test_the_frames_around_an_annotated_one():
    clip = clip_around(Path("val/frankfurt/frankfurt_000001_000538_leftImg8bit.png"))
    assert clip[0] == Path("val/frankfurt/frankfurt_000001_000519_leftImg8bit.png")
    assert clip[-1].name == "frankfurt_000001_000548_leftImg8bit.png"
    assert len(clip) == 30
    short = clip_around(Path("lindau_000003_000019_leftImg8bit.webp"), 2, 1)
    assert [path.name[14:20] for path in short] == ["000017", "000018", "000019", "000020"]
    assert short[0].suffix == ".webp"


def test_what_cannot_be_is_refused():
    with pytest.raises(DatasetError, match="only 7 frames before"):
        clip_around(Path("lindau_000003_000007_leftImg8bit.png"))
    with pytest.raises(DatasetError, match="its name is not"):
        clip_around(Path("0001TP_008550.png"))


def test_etcs_clips():
    """108 clips with 3132 pairs of the sampled list; 500 annotated frames give 14 500."""
    annotated = json.loads(SAMPLED.read_text())["frames"]
    clips = [clip_around(Path(f"{stem}_leftImg8bit.png")) for stem in annotated]
    assert len(set(annotated)) == len(clips) == 108
    assert len({path for clip in clips for path in clip}) == 3240
    assert sum(len(list(pairwise(clip))) for clip in clips) == 3132
    full = [clip_around(Path(f"munster_{i:06d}_000019_leftImg8bit.png")) for i in range(500)]
    assert sum(len(list(pairwise(clip))) for clip in full) == 14_500

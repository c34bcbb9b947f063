"""Which earlier frames a clip network looks at."""

from __future__ import annotations

import pytest

from gopseg.pipelines.clip.references import (
    FixedReferences,
    GuidedReferences,
    Moment,
    PublishedReferences,
    TimedReferences,
)

EARLY = {0: (), 1: (), 2: (), 3: (0, 1, 2), 4: (0, 2, 3), 5: (0, 2, 4), 6: (0, 2, 4), 7: (0, 3, 5), 8: (0, 3, 6)}


def moments(count, rate=15, **given):
    return [Moment(i, i / rate, **given) for i in range(count)]


def frames(choice, past, now):
    return tuple(past[place].index for place in choice.choose(past, now))


@pytest.mark.parametrize("index", range(14))
def test_published_references(index):
    past = moments(14)[max(0, index - 9) : index]
    expected = EARLY.get(index, (index - 9, index - 6, index - 3))
    assert frames(PublishedReferences(), past, Moment(index)) == expected


@pytest.mark.parametrize(
    ("index", "expected"), [(0, ()), (1, (0,)), (5, (0, 2)), (8, (0, 2, 5)), (9, (0, 3, 6)), (20, (11, 14, 17))]
)
def test_fixed_references_are_the_oldest_frame_where_the_stream_is_young(index, expected):
    assert frames(FixedReferences(), moments(index), Moment(index)) == expected


@pytest.mark.parametrize(
    ("rate", "expected"), [(15, (21, 24, 27)), (30, (12, 18, 24)), (60, (0, 6, 18)), (5, (27, 28, 29)), (2, (29,))]
)
def test_timed_references_keep_their_spacing_at_every_rate(rate, expected):
    past, now = moments(30, rate), Moment(30, 30 / rate)
    if rate == 60:
        expected = tuple(max(0, 30 - frames) for frames in (36, 24, 12))
    assert frames(TimedReferences(), past, now) == expected


def test_timed_references_without_times_are_fixed():
    past = [Moment(i) for i in range(20)]
    assert frames(TimedReferences(), past, Moment(20)) == (11, 14, 17)


def test_guided_references_are_spaced_by_motion():
    fast = [Moment(i, i / 15, travelled=0.01 * i) for i in range(40)]
    assert frames(GuidedReferences(), fast, Moment(40, 40 / 15, travelled=0.4)) == (34, 36, 38)
    still = moments(40)
    assert frames(GuidedReferences(), still, Moment(40, 40 / 15)) == (13, 22, 31)


def test_guided_references_prefer_i_frames_and_fine_quantisers():
    past = [Moment(i, i / 15, travelled=0.01 * i, is_intra=i == 37) for i in range(40)]
    now = Moment(40, 40 / 15, travelled=0.4)
    sharp = [Moment(m.index, m.seconds, m.travelled, qp=20.0 if m.index == 35 else 45.0) for m in past]
    assert 37 not in frames(GuidedReferences(), past, now)
    assert 37 in frames(GuidedReferences(qp_weight=0.6), past, now)
    assert 35 in frames(GuidedReferences(qp_weight=0.04), sharp, now)


def test_guided_references_are_all_there_is_at_first():
    assert GuidedReferences().choose([], Moment(0)) == ()
    assert frames(GuidedReferences(), moments(2), Moment(2, 2 / 15)) == (0, 1)

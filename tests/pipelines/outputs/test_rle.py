import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gopseg.pipelines import decode_mask, encode_labels, encode_mask


def reference(mask):
    """The definition in the comments of COCO's maskApi.c, one number at a time."""
    counts, last, run = [], 0, 0
    for value in mask.ravel(order="F").astype(int).tolist():
        if value != last:
            counts.append(run)
            run, last = 0, value
        run += 1
    counts.append(run)
    text = ""
    for i, number in enumerate(counts):
        x = number - counts[i - 2] if i > 2 else number
        more = True
        while more:
            group = x & 0x1F
            x >>= 5
            more = x != -1 if group & 0x10 else x != 0
            text += chr((group | 0x20 if more else group) + 48)
    return text


masks = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(lambda size: arrays(np.bool_, size))


@settings(max_examples=150, deadline=None)
@given(masks, st.integers(1, 9))
def test_round_trip_and_definition(mask, scale):
    mask = mask.repeat(scale, 0)
    counts = encode_mask(mask)
    assert counts == reference(mask)
    assert np.array_equal(decode_mask(counts, mask.shape), mask)


def test_every_class_of_a_label_map():
    labels = np.random.default_rng(0).integers(0, 4, (30, 20)).repeat(7, 1).astype(np.uint8)
    encoded = dict(encode_labels(labels))
    assert list(encoded) == [0, 1, 2, 3]
    for value, counts in encoded.items():
        assert np.array_equal(decode_mask(counts, labels.shape), labels == value)


def test_a_wrong_size_is_refused():
    with pytest.raises(ValueError, match="cover 12 pixels"):
        decode_mask(encode_mask(np.ones((3, 4), bool)), (4, 4))

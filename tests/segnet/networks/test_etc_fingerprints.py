"""ETC's network and losses reproduce the numbers of fingerprints/etc.json."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from torch.nn import functional

from gopseg.segnet import parameter_count
from gopseg.segnet.importing.published import import_network
from gopseg.segnet.losses.distillation import (
    MultiFrameDistillation,
    affinity,
    pair_distillation,
    self_affinity_distillation,
    single_frame_distillation,
)
from gopseg.segnet.losses.temporal import published_motion_loss, published_visibility
from gopseg.segnet.resize import resize_aligned
from gopseg.segnet.warp import warp_features

LOGITS, PICTURE = (2, 19, 5, 6), (2, 3, 33, 41)
CLASS_WEIGHTS = (
    0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023,
    0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def expect(fingerprints):
    return fingerprints("etc")


@pytest.fixture(scope="module")
def expect_loss(expect):
    def compare(value, name):
        row = expect.content["losses"][name]
        assert float(value) == pytest.approx(row["value"], rel=1e-5, abs=10 * row["noise"])

    return compare


def draw(seed, shape, times=1.0):
    return torch.from_numpy(times * np.random.RandomState(seed).uniform(-1, 1, shape)).float()


@pytest.fixture(scope="module")
def published(fingerprints):
    """A state dict as the authors' files hold it, filled by its keys."""

    def filled(name):
        state = {}
        for key, shape in fingerprints.keys(name):
            if key.endswith("num_batches_tracked"):
                state[key] = torch.zeros((), dtype=torch.int64)
                continue
            u = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF).uniform(-1, 1, int(np.prod(shape)))
            u = u.reshape(shape)
            rules = {"running_var": 1 + 0.2 * u, "running_mean": 0.05 * u, "bias": 0.1 * u}
            matrix = u * np.sqrt(6 / np.prod(shape[1:]))
            value = matrix if u.ndim > 1 else rules.get(key.rpartition(".")[2], 1 + 0.1 * u)
            state[key] = torch.from_numpy(value).float()
        return state

    return filled


def test_network(expect, published):
    network, _ = import_network(published("etc-psp18"), "etc-psp18")
    assert parameter_count(network) == 14_399_590
    image = draw(1, (1, 3, 73, 97))
    logits, auxiliary, pyramid = network.published_outputs(image)
    torch.testing.assert_close(network(image), logits)
    expect(logits, "logits (1/8)")
    expect(auxiliary, "aux logits (1/8)")
    expect(pyramid, "pyramid feature (1/8)")
    expect(resize_aligned(logits, (73, 97)), "logits at input size")


def test_motion_loss(expect, expect_loss):
    image, neighbour, flow = draw(2, PICTURE), draw(3, PICTURE), draw(6, (2, 2, 33, 41), 4).permute(0, 2, 3, 1)
    expect(warp_features(neighbour, flow), "warped neighbour image")
    expect(published_visibility(image, neighbour, flow), "visibility weight V")
    loss = published_motion_loss(image, neighbour, flow, draw(4, LOGITS, 3), draw(5, LOGITS, 3))
    expect_loss(loss, "motion loss, weight 1")


def test_supervised_loss(expect_loss):
    labels = torch.from_numpy(np.random.RandomState(7).randint(0, 20, (2, 33, 41)))
    labels[labels == 19] = 255
    main, auxiliary = (
        functional.cross_entropy(
            resize_aligned(draw(seed, LOGITS, 3), (33, 41)), labels, torch.tensor(CLASS_WEIGHTS), ignore_index=255
        )
        for seed in (4, 8)
    )
    expect_loss(main + 0.4 * auxiliary, "supervised loss")


def test_single_frame_distillation(expect_loss):
    labelled, before, after = (
        single_frame_distillation(draw(seed, (2, 19, 9, 12), 3), draw(seed + 3, (2, 19, 12, 16), 3), compat=True)
        for seed in (10, 11, 12)
    )
    expect_loss(labelled, "SF, one frame")
    expect_loss(labelled + before, "SF, pair")
    expect_loss(labelled + 0.4 * (before + after), "SF, triplet")


def test_pair_distillation(expect, expect_loss):
    student = draw(16, (2, 19, 6, 8)), draw(17, (2, 19, 6, 8))
    teacher = draw(18, (2, 23, 6, 8)), draw(19, (2, 23, 6, 8))
    expect(affinity(*student, compat=True), "PF student affinity, as implemented")
    expect_loss(pair_distillation(student, teacher, pool=1, compat=True), "PF as implemented")
    expect_loss(pair_distillation(student, teacher, pool=1), "PF with true cosine (ours, not official)")


def test_self_affinity_distillation(expect_loss):
    student = [draw(seed, (2, 32, 12, 16)) for seed in (20, 21, 22)]
    teacher = [draw(seed, (2, 48, 12, 16)) for seed in (23, 24, 25)]
    expect_loss(self_affinity_distillation(student, teacher, (0.4, 1, 0.4)), "self-affinity, triplet")


def test_multi_frame_distillation(expect, expect_loss, published):
    module = MultiFrameDistillation()
    module.load_state_dict(published("etc-mf"))
    assert parameter_count(module) == 736
    student = [draw(seed, (2, 32, 48, 64)) for seed in (26, 27, 28)]
    teacher = [draw(seed, (2, 48, 48, 64)) for seed in (29, 30, 31)]
    hidden, cell = module.encode(student)
    expect(hidden, "MF final hidden state, student")
    expect(cell, "MF final cell state, student")
    expect_loss(module(student, teacher), "MF")

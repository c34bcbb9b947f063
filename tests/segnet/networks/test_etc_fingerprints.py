"""ETC's network and losses reproduce the numbers of ../shared/specs/fingerprints.md, section 4."""

from __future__ import annotations

import json
import re
import zlib
from functools import lru_cache
from pathlib import Path

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

SPECS = Path(__file__).resolve().parents[4] / "shared" / "specs"
pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason=f"{SPECS} is absent: the measured numbers are not in here")
LOGITS, PICTURE = (2, 19, 5, 6), (2, 3, 33, 41)
CLASS_WEIGHTS = (
    0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023,
    0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@lru_cache
def rows():
    text = (SPECS / "fingerprints.md").read_text().partition("\n## 4.")[2].partition("\n## 5.")[0]
    lines = [line for line in text.splitlines() if re.match(r"\|[^-]", line)]
    return {cells[0]: cells[1:] for cells in ([c.strip() for c in line.strip("|").split("|")] for line in lines)}


def assert_row(tensor, name):
    shape, mean, std, low, high, first, last, noise = rows()[name]
    assert tuple(tensor.shape) == tuple(int(n) for n in shape.split("x"))
    values = tensor.double().flatten()
    expected = [float(n) for n in [mean, std, low, high, *first.split(), *last.split()]]
    found = [values.mean(), values.std(), values.min(), values.max(), *values[:3], *values[-3:]]
    tolerance = max(1e-4 * float(std), 10 * float(noise))
    np.testing.assert_allclose([float(v) for v in found], expected, rtol=5e-6, atol=tolerance, err_msg=name)


def assert_loss(value, name):
    _, expected, noise = rows()[name]
    assert float(value) == pytest.approx(float(expected), rel=1e-5, abs=10 * float(noise))


def draw(seed, shape, times=1.0):
    return torch.from_numpy(times * np.random.RandomState(seed).uniform(-1, 1, shape)).float()


def published(name):
    state = {}
    for key, shape in json.loads((SPECS / "keys" / f"{name}.json").read_text()):
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=torch.int64)
            continue
        u = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF).uniform(-1, 1, int(np.prod(shape)))
        u = u.reshape(shape)
        rules = {"running_var": 1 + 0.2 * u, "running_mean": 0.05 * u, "bias": 0.1 * u}
        value = u * np.sqrt(6 / np.prod(shape[1:])) if u.ndim > 1 else rules.get(key.rpartition(".")[2], 1 + 0.1 * u)
        state[key] = torch.from_numpy(value).float()
    return state


def test_network():
    network, _ = import_network(published("etc-psp18"), "etc-psp18")
    assert parameter_count(network) == 14_399_590
    image = draw(1, (1, 3, 73, 97))
    logits, auxiliary, pyramid = network.published_outputs(image)
    torch.testing.assert_close(network(image), logits)
    assert_row(logits, "logits (1/8)")
    assert_row(auxiliary, "aux logits (1/8)")
    assert_row(pyramid, "pyramid feature (1/8)")
    assert_row(resize_aligned(logits, (73, 97)), "logits at input size")


def test_motion_loss():
    image, neighbour, flow = draw(2, PICTURE), draw(3, PICTURE), draw(6, (2, 2, 33, 41), 4).permute(0, 2, 3, 1)
    assert_row(warp_features(neighbour, flow), "warped neighbour image")
    assert_row(published_visibility(image, neighbour, flow), "visibility weight V")
    loss = published_motion_loss(image, neighbour, flow, draw(4, LOGITS, 3), draw(5, LOGITS, 3))
    assert_loss(loss, "motion loss, weight 1")


def test_supervised_loss():
    labels = torch.from_numpy(np.random.RandomState(7).randint(0, 20, (2, 33, 41)))
    labels[labels == 19] = 255
    main, auxiliary = (
        functional.cross_entropy(
            resize_aligned(draw(seed, LOGITS, 3), (33, 41)), labels, torch.tensor(CLASS_WEIGHTS), ignore_index=255
        )
        for seed in (4, 8)
    )
    assert_loss(main + 0.4 * auxiliary, "supervised loss")


def test_single_frame_distillation():
    labelled, before, after = (
        single_frame_distillation(draw(seed, (2, 19, 9, 12), 3), draw(seed + 3, (2, 19, 12, 16), 3), compat=True)
        for seed in (10, 11, 12)
    )
    assert_loss(labelled, "SF, one frame")
    assert_loss(labelled + before, "SF, pair")
    assert_loss(labelled + 0.4 * (before + after), "SF, triplet")


def test_pair_distillation():
    student = draw(16, (2, 19, 6, 8)), draw(17, (2, 19, 6, 8))
    teacher = draw(18, (2, 23, 6, 8)), draw(19, (2, 23, 6, 8))
    assert_row(affinity(*student, compat=True), "PF student affinity, as implemented")
    assert_loss(pair_distillation(student, teacher, pool=1, compat=True), "PF as implemented")
    assert_loss(pair_distillation(student, teacher, pool=1), "PF with true cosine (ours, not official)")


def test_self_affinity_distillation():
    student = [draw(seed, (2, 32, 12, 16)) for seed in (20, 21, 22)]
    teacher = [draw(seed, (2, 48, 12, 16)) for seed in (23, 24, 25)]
    assert_loss(self_affinity_distillation(student, teacher, (0.4, 1, 0.4)), "self-affinity, triplet")


def test_multi_frame_distillation():
    module = MultiFrameDistillation()
    module.load_state_dict(published("etc-mf"))
    assert parameter_count(module) == 736
    student = [draw(seed, (2, 32, 48, 64)) for seed in (26, 27, 28)]
    teacher = [draw(seed, (2, 48, 48, 64)) for seed in (29, 30, 31)]
    hidden, cell = module.encode(student)
    assert_row(hidden, "MF final hidden state, student")
    assert_row(cell, "MF final cell state, student")
    assert_loss(module(student, teacher), "MF")

import math

import cv2
import numpy as np
import pytest
import torch

from gopseg.segnet import parameter_count
from gopseg.segnet.flow.estimators import FLOW_SOURCES
from gopseg.segnet.flow.flownet import FlowNetS, flownet2s_input
from gopseg.segnet.flow.grid import displacement_on_grid, flow_to_grid, inside_frame
from gopseg.segnet.flow.light import LightFlowNet
from gopseg.segnet.flow.validity import (
    forward_backward_validity,
    photometric_confidence,
    photometric_error,
    photometric_validity,
)
from gopseg.segnet.propagation.grid_frames import FrameReducer
from gopseg.segnet.propagation.settings import PropagationSettings


@torch.inference_mode()
def test_light_fingerprint(fill, draw, matches):
    network = fill(LightFlowNet())
    assert (parameter_count(network), len(network.state_dict())) == (186_402, 51)
    numbers = "1.209214 1.675296 -4.015822 6.519157 0.49923 0.11638 0.75701"
    matches(network(draw(2, (1, 6, 96, 192))), (1, 2, 24, 48), numbers)
    assert network(draw(2, (2, 6, 90, 120))).shape == (2, 2, 23, 30)


@torch.inference_mode()
def test_published_flownets_fingerprint(fill, draw, matches):
    network = fill(FlowNetS("gsvnet"))
    assert parameter_count(network) == 38_676_514
    assert {"deconv5.0.bias", "upsampled_flow6_to_5.bias", "conv3_1.0.weight"} <= network.state_dict().keys()
    numbers = "-0.315222 0.340227 -1.215496 0.818185 -0.41223 -0.33808 0.07228"
    matches(network(draw(2, (1, 6, 96, 192))), (1, 2, 12, 24), numbers)


@torch.inference_mode()
def test_faithful_flownets_differ_from_the_published_one_as_their_papers_say(fill, draw):
    with torch.device("meta"):
        flownet2s, dff = FlowNetS("flownet2s"), FlowNetS("dff")
        assert flownet2s(torch.zeros(1, 6, 1024, 2048)).shape == (1, 2, 256, 512)
        assert flownet2s(torch.zeros(1, 6, 100, 190)).shape == (1, 2, 25, 48)
        assert dff(torch.zeros(1, 6, 1024, 2048)).shape == (1, 2, 64, 128)
    assert parameter_count(flownet2s) == 38_676_506
    assert parameter_count(dff) == 38_676_514
    assert "upsampled_flow6_to_5.bias" not in flownet2s.state_dict()


def test_flownets_crops_are_centred_where_they_are_faithful():
    """A delta at a coarse cell must come out around the cell it stands for: 2i and 2i + 1, with one on each side."""
    coarse, like = torch.zeros(1, 2, 5, 5), torch.zeros(1, 2, 10, 10)
    coarse[..., 2, 2] = 1
    up = torch.nn.ConvTranspose2d(2, 2, 4, 2, bias=False)
    torch.nn.init.ones_(up.weight)
    found = {}
    for form in ("gsvnet", "flownet2s"):
        with torch.device("meta"):
            network = FlowNetS(form)
        found[form] = network._crop(up(coarse), like)[0, 0].nonzero().unique().tolist()
    assert found["flownet2s"] == [3, 4, 5, 6]
    assert found["gsvnet"] == [4, 5, 6, 7]


def test_flownet2s_input_has_no_common_colour():
    first, second = torch.rand(2, 3, 8, 8) * 255, torch.rand(2, 3, 8, 8) * 255
    pair = flownet2s_input(first, second)
    assert pair.shape == (2, 6, 8, 8)
    assert (pair[:, :3].mean((2, 3)) + pair[:, 3:].mean((2, 3))).abs().max() < 1e-5
    torch.testing.assert_close((pair[:, 3:] - pair[:, :3]) * 255, second - first, atol=1e-3, rtol=1e-3)


def moved_street(dx, dy, size_hw=(128, 192)):
    """Two frames of smooth noise; what is at (x, y) in the second was at (x + dx, y + dy) in the first."""
    height, width = size_hw
    noise = np.random.default_rng(5).uniform(0, 255, (height + 80, width + 80, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 4)
    noise = (noise - noise.min()) / np.ptp(noise) * 255
    before = noise[40 : 40 + height, 40 : 40 + width]
    now = noise[40 + dy : 40 + dy + height, 40 + dx : 40 + dx + width]
    return (torch.from_numpy(np.ascontiguousarray(x)).round().to(torch.uint8)[None] for x in (before, now))


@pytest.mark.parametrize("corner_aligned", [False, True])
def test_dense_inverse_search_finds_a_shift_in_cells_backward(corner_aligned):
    before, now = moved_street(12, -5)
    settings = PropagationSettings(classes=("a",), corner_aligned=corner_aligned)
    source = FLOW_SOURCES["dis"](settings)
    found = source(source.prepare(now), source.prepare(before), (16, 24))
    assert found.shape == (1, 16, 24, 2)
    torch.testing.assert_close(
        found[0, 4:-4, 4:-4].median(0).values.median(0).values, torch.tensor([12.0, -5]) / 8, atol=0.1, rtol=0
    )


def test_small_pictures_are_refused_by_dense_inverse_search():
    tiny = torch.zeros(1, 8, 40, dtype=torch.uint8)
    source = FLOW_SOURCES["dis"](PropagationSettings(classes=("a",)))
    with pytest.raises(ValueError, match=r"\(8, 40\) pixels are too small"):
        source(tiny, tiny, (1, 5))


@pytest.mark.parametrize("name", ["light", "none"])
@pytest.mark.parametrize("corner_aligned", [False, True])
@torch.inference_mode()
def test_sources_on_reduced_frames_fill_the_grid(name, corner_aligned):
    settings = PropagationSettings(classes=("a",), corner_aligned=corner_aligned)
    source, frame = FLOW_SOURCES[name](settings).eval(), FrameReducer(settings)(torch.rand(2, 90, 123, 3) * 255)
    grid_hw = (frame.shape[-2], frame.shape[-1])
    assert source.shares_frames
    assert source(frame, frame, grid_hw).shape == (2, *grid_hw, 2)


@torch.inference_mode()
def test_light_flow_is_in_quarter_cells_with_the_current_frame_first(fill, draw):
    source = FLOW_SOURCES["light"](PropagationSettings.published(3))
    fill(source.network)
    pair = draw(2, (1, 6, 96, 192))
    raw = source.network(pair)
    cells = source(pair[:, :3], pair[:, 3:], (96, 192))
    torch.testing.assert_close(cells, flow_to_grid(raw, (96, 192), align_corners=True) / 4)
    torch.testing.assert_close(4 * cells[0, 0, 0], raw[0, :, 0, 0])
    torch.testing.assert_close(4 * cells[0, -1, -1], raw[0, :, -1, -1])


class Constant(torch.nn.Module):
    """A flow network that answers (3, -2) everywhere and keeps what it was asked."""

    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, pair):
        self.pair = pair
        height, width = pair.shape[-2:]
        return torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(len(pair), 2, height // 4, width // 4)


@pytest.mark.parametrize(("name", "unit"), [("flownet2s", 1), ("flownets-dff", 16)])
def test_vectors_of_reduced_pictures_are_scaled_back_by_axis(name, unit):
    with torch.device("meta"):
        source = FLOW_SOURCES[name](PropagationSettings(classes=("a",)))
    reduction = source.reduction
    source.network = Constant(source.network.form)
    current, previous = torch.full((1, 270, 500, 3), 200.0), torch.full((1, 270, 500, 3), 100.0)
    found = source(source.prepare(current), source.prepare(previous), (34, 63))
    height, width = source.network.pair.shape[-2:]
    assert height % 64 == width % 64 == 0
    assert abs(height * reduction - 270) <= 32 * reduction
    assert source.network.pair[0, 0, 0, 0] > source.network.pair[0, 3, 0, 0]
    torch.testing.assert_close(found[0, 5, 5], torch.tensor([3 * unit * 500 / width, -2 * unit * 270 / height]) / 8)


def test_published_flownets_takes_the_earlier_frame_first():
    with torch.device("meta"):
        source = FLOW_SOURCES["flownets"](PropagationSettings.published(3))
    source.network = Constant("gsvnet")
    found = source(torch.ones(1, 3, 16, 24), torch.zeros(1, 3, 16, 24), (16, 24))
    assert source.network.pair[:, :3].max() == 0
    torch.testing.assert_close(found, torch.tensor([0.75, -0.5]).expand(1, 16, 24, 2))


def test_vectors_are_pooled_where_they_are_known():
    pixels, known = torch.zeros(1, 5, 6, 2), torch.zeros(1, 5, 6)
    pixels[0, 0, 0], known[0, 0, 0] = torch.tensor([16.0, -8.0]), 1
    pixels[0, 0, 1] = 999
    pixels[0, 2:4, 2:4], known[0, 2:4, 2:4] = 4, 1
    pixels[0, 4, 4:] = torch.tensor([6.0, 2.0])
    cells, validity = displacement_on_grid(pixels, known, stride=8, cell=4)
    assert cells.shape == (1, 3, 3, 2)
    torch.testing.assert_close(cells[0, 0, 0], torch.tensor([2.0, -1.0]))
    assert validity[0, 0, 0, 0] == 0.25
    torch.testing.assert_close(cells[0, 1, 1], torch.tensor([0.5, 0.5]))
    assert validity[0, 0, 1, 1] == 1
    torch.testing.assert_close(cells[0, 2, 2], torch.tensor([0.75, 0.25]))
    assert validity[0, 0, 2, 2] == 0
    # the units of the published warp: quarter-pel / 8 at stride 8
    torch.testing.assert_close(4 * cells[0, 0, 0], torch.tensor([16.0, -8.0]) * 4 / 8)
    with pytest.raises(ValueError, match="not a multiple"):
        displacement_on_grid(pixels, known, stride=6, cell=4)


def test_forward_backward_check_marks_what_is_covered_and_what_left():
    backward, forward = torch.zeros(1, 12, 16, 2), torch.zeros(1, 12, 16, 2)
    backward[..., 0], forward[..., 0] = 3, -3
    forward[0, 4:8, 6:10, 0] = 2  # what lies there moved elsewhere
    valid = forward_backward_validity(backward, forward)[0, 0]
    assert valid[:, 13:].max() == 0
    assert valid[4:8, 3:7].max() == 0
    assert valid[:3, :13].min() == 1
    assert valid.sum() == 12 * 13 - 16
    assert forward_backward_validity(backward, -backward)[0, 0, :, :13].min() == 1


def test_small_disagreement_is_tolerated_as_the_bound_says():
    big = torch.full((1, 40, 40, 2), 10.0) / math.sqrt(2)
    length = 10.0
    # returned vector of length 10 - e: e^2 <= 0.01 (100 + (10 - e)^2) + 0.5
    for error, expected in ((1.45, 1), (1.55, 0)):
        bound = 0.01 * (length**2 + (length - error) ** 2) + 0.5
        assert (error**2 <= bound) == bool(expected)
        assert forward_backward_validity(big, -big * (1 - error / length))[0, 0, :20, :20].min() == expected


def test_photometric_error_tells_right_motion_from_wrong():
    before, now = moved_street(16, 8)
    reducer = FrameReducer(PropagationSettings(classes=("a",)))
    before, now = reducer(before), reducer(now)
    right = torch.tensor([2.0, 1.0]).expand(1, 16, 24, 2)
    errors = [float(photometric_error(now, before, d * right, border=3)) for d in (1, 0, -1)]
    assert errors[0] < 1e-5 < errors[1]
    assert errors[0] < errors[2]
    valid = photometric_validity(now, before, right, threshold=0.05)[0, 0]
    assert valid[:-1, :-2].min() == 1
    assert valid[-1].max() == valid[:, -2:].max() == 0
    torch.testing.assert_close(valid, inside_frame(right)[0, 0])
    trust, distrust = (photometric_confidence(now, before, d * right)[0, 0] for d in (1, -1))
    torch.testing.assert_close(trust, valid)
    assert 0 < distrust[4:-4, 4:-4].mean() < 0.9
    displacement = (0.9 * right).clone().requires_grad_()
    photometric_error(now, before, displacement).backward()
    assert displacement.grad.abs().max() > 0

import pytest
import torch

from gopseg.segnet import parameter_count
from gopseg.segnet.fusion.creff import CReFF
from gopseg.segnet.warp import motion_on_grid, warp_features


def identity_creff():
    module = CReFF(1)
    with torch.no_grad():
        for conv in module.children():
            conv.weight.zero_()[:, :, 1, 1] = 1
    return module


@torch.no_grad()
def test_check_values():
    ones = torch.ones(1, 1, 9, 9)
    out = identity_creff()(ones, ones)[0, 0]
    measured = [float(v) for v in (out[4, 4], out[0, 4], out[0, 0])]
    assert measured == pytest.approx([2.0, 1.783755, 1.568585], abs=1e-6)


def test_parameters_and_their_start():
    module = CReFF(64)
    assert parameter_count(module) == 1920
    assert set(module.state_dict()) == {
        f"{conv}.{what}" for conv in ("lr_query_conv", "hr_key_conv", "hr_value_conv") for what in ("weight", "bias")
    }
    assert module.hr_key_conv.weight.shape == (64, 1, 3, 3)
    assert module.hr_key_conv.bias.abs().max() == 0
    assert float(module.hr_key_conv.weight.detach().std()) == pytest.approx((1 / 9) ** 0.5, rel=0.2)


def test_the_result_has_the_size_of_the_keyframe_and_gradients_reach_both():
    module = CReFF(8)
    warped, low = torch.randn(2, 8, 17, 23, requires_grad=True), torch.randn(2, 8, 9, 12, requires_grad=True)
    out = module(warped, low)
    assert out.shape == warped.shape
    out.square().mean().backward()
    assert all(float(x.grad.abs().min(1).values.max()) > 0 for x in (warped, low))
    assert all(p.grad is not None for p in module.parameters())


@torch.no_grad()
def test_a_linear_classifier_commutes():
    torch.manual_seed(0)
    module, classifier = CReFF(8), torch.nn.Conv2d(8, 3, 1)
    warped, low = torch.randn(2, 8, 17, 23), torch.randn(2, 8, 9, 12)
    expected = classifier(module(warped, low))
    torch.testing.assert_close(module.classified(warped, low, classifier), expected, atol=1e-4, rtol=1e-4)


ROWS = torch.arange(10.0, 18).expand(1, 1, 4, 8)


def shifted(dx):
    displacement = torch.zeros(1, 4, 8, 2)
    displacement[..., 0] = dx
    return displacement


@pytest.mark.parametrize(
    ("dx", "row_1"),
    [
        (0, [5.0, 10.6429, 11.7857, 12.9286, 14.0714, 15.2143, 16.3571, 8.5]),
        (2, [11.7857, 12.9286, 14.0714, 15.2143, 16.3571, 8.5, 0, 0]),
    ],
)
def test_published_warp(dx, row_1):
    out = warp_features(ROWS, shifted(dx), compat=True)[0, 0]
    torch.testing.assert_close(out[1], torch.tensor(row_1), atol=1e-4, rtol=0)
    torch.testing.assert_close(out[0], out[1] / 2, atol=1e-4, rtol=0)


def test_warp_is_the_identity_at_rest_and_repeats_or_blanks_the_border():
    torch.testing.assert_close(warp_features(ROWS, shifted(0)), ROWS)
    torch.testing.assert_close(
        warp_features(ROWS, shifted(2))[0, 0, 3], torch.tensor([12.0, 13, 14, 15, 16, 17, 17, 17])
    )
    blank = warp_features(ROWS, shifted(2), padding="zeros")
    torch.testing.assert_close(blank[0, 0, 3], torch.tensor([12.0, 13, 14, 15, 16, 17, 0, 0]))
    single = torch.ones(1, 2, 1, 1)
    torch.testing.assert_close(warp_features(single, torch.full((1, 1, 1, 2), 3.0)), single)


def test_positions_keep_their_precision_in_half_types():
    out = warp_features(ROWS.expand(1, 1, 4, 8).bfloat16(), shifted(0.5))
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out[0, 0, 2, :7].float(), torch.arange(10.5, 17))


def test_a_warp_of_another_grid_is_refused():
    with pytest.raises(ValueError, match="does not fit features"):
        warp_features(ROWS, torch.zeros(1, 4, 7, 2))


def test_motion_in_pixels_becomes_motion_in_cells():
    pixels = torch.tensor([8.0, -4.0]).expand(2, 90, 160, 2)
    cells = motion_on_grid(pixels, (360, 640), (45, 80))
    assert cells.shape == (2, 45, 80, 2)
    torch.testing.assert_close(cells, torch.tensor([1.0, -0.5]).expand_as(cells))
    # each axis by its own ratio; the published form takes the heights' for both
    torch.testing.assert_close(motion_on_grid(pixels, (360, 640), (90, 80))[0, 0, 0], torch.tensor([1.0, -1.0]))
    official = motion_on_grid(pixels, (360, 640), (90, 80), compat=True)
    torch.testing.assert_close(official[0, 0, 0], torch.tensor([2.0, -1.0]))


def test_motion_is_resized_between_centres_of_cells():
    ramp = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 4, 8, 2)
    torch.testing.assert_close(
        motion_on_grid(ramp, (16, 32), (2, 4))[0, 0, :, 0], torch.tensor([0.5, 2.5, 4.5, 6.5]) / 8
    )
    official = motion_on_grid(ramp, (16, 32), (2, 4), compat=True)
    torch.testing.assert_close(official[0, 0, :, 0], torch.tensor([0, 7 / 3, 14 / 3, 7]) / 8)

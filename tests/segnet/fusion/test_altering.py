"""The LR branch and the fusions on their own, with small networks and random weights."""

import pytest
import torch

from gopseg.segnet import AlteringResolution, LowResolution, Motion, SwiftNet, build_fusion
from gopseg.segnet.fusion.files import FUSIONS
from gopseg.segnet.fusion.fusions import FIRST_WEIGHT, quarters


@pytest.fixture(scope="module")
def hr():
    torch.manual_seed(0)
    return SwiftNet(5).eval()


def still(grid, count=1):
    return Motion(torch.zeros(count, *grid, 2), torch.zeros(count, *grid), torch.ones(count))


@pytest.mark.parametrize("size", [(64, 96), (70, 101)])
@pytest.mark.parametrize("scale", [0.5, 0.3])
@torch.no_grad()
def test_the_low_branch_lives_on_the_full_grid(hr, size, scale):
    low = LowResolution(hr, scale).eval()
    images = torch.randn(2, 3, *size)
    grid = (-(-size[0] // 4), -(-size[1] // 4))
    assert low.features(images).shape == (2, 128, *grid)
    assert low(images).shape == (2, 5, *grid)
    assert all(side % 4 == 0 for side in low.low_size(size))


def test_shrinking_is_exact_averaging():
    images = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, 8, 8)
    small = LowResolution(SwiftNet(2), 0.5).shrink(images)
    assert torch.equal(small[0, 0], images[0, 0].unfold(0, 2, 2).unfold(1, 2, 2).mean((2, 3)))


@pytest.mark.parametrize("scale", [0.0, 1.0, -1])
def test_a_scale_that_does_not_shrink_is_refused(hr, scale):
    with pytest.raises(ValueError, match="between 0 and 1"):
        LowResolution(hr, scale)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("size", [(64, 96), (70, 101)])
@torch.no_grad()
def test_every_fusion_gives_logits_on_the_full_grid(hr, fusion, size):
    ar = AlteringResolution(LowResolution(hr, 0.5), build_fusion(fusion, hr)).eval()
    logits, carried = ar.keyframe(hr, torch.randn(2, 3, *size))
    grid = (-(-size[0] // 4), -(-size[1] // 4))
    fused = ar(torch.randn(2, 3, *size), carried, still(grid, 2))
    assert logits.shape == fused.shape == (2, 5, *grid)
    assert torch.isfinite(fused).all()


@pytest.mark.parametrize("fusion", FUSIONS)
@torch.no_grad()
def test_frames_of_a_batch_do_not_touch_each_other(hr, fusion):
    torch.manual_seed(1)
    ar = AlteringResolution(LowResolution(hr, 0.5), build_fusion(fusion, hr)).eval()
    images, keys = torch.randn(3, 3, 64, 96), torch.randn(3, 3, 64, 96)
    motion = Motion(torch.randn(3, 16, 24, 2) * 4, torch.rand(3, 16, 24), torch.tensor([1.0, 5, 11]))
    carried = ar.keyframe(hr, keys)[1]
    together = ar(images, carried, motion)
    for i in range(3):
        one = slice(i, i + 1)
        alone = Motion(motion.displacement[one], motion.unreferenced[one], motion.distance[one])
        torch.testing.assert_close(
            ar(images[one], tuple(x[one] for x in carried), alone), together[one], rtol=5e-3, atol=5e-3
        )


@torch.no_grad()
def test_motion_moves_what_the_keyframe_said(hr):
    """Whole cells to the left: away from the borders, the fused logits with 'warp' follow."""
    ar = AlteringResolution(LowResolution(hr, 0.5), build_fusion("warp", hr)).eval()
    image, key = torch.zeros(1, 3, 64, 96), torch.randn(1, 3, 64, 96)
    carried = ar.keyframe(hr, key)[1]
    motion = still((16, 24))
    moved = Motion(motion.displacement.clone(), motion.unreferenced, motion.distance)
    moved.displacement[..., 0] = 8  # pixels: what is here came from two cells to the right
    own = ar.low(image).softmax(1)
    here, there = ar(image, carried, motion).exp() - own, ar(image, carried, moved).exp() - own
    torch.testing.assert_close(there[..., :-2], here[..., 2:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("light", [False, True])
@torch.no_grad()
def test_beyond_what_was_learned_distances_are_one(hr, light):
    torch.manual_seed(2)
    ar = AlteringResolution(LowResolution(hr, 0.5), build_fusion("evidence-light" if light else "evidence", hr)).eval()
    torch.nn.init.normal_(ar.fusion.weigh.weight)
    image = torch.randn(1, 3, 64, 96)
    carried = ar.keyframe(hr, image)[1]
    motion = still((16, 24))

    def at(distance):
        return ar(image, carried, Motion(motion.displacement, motion.unreferenced, torch.tensor([float(distance)])))

    near, far, farther = at(3), at(12), at(200)
    assert torch.equal(far, farther)
    assert not torch.allclose(near, far)


def test_the_first_evidence_is_mostly_the_keyframe(hr):
    """Before training: a fixed mean of the LR branch's logits and the warped keyframe's."""
    ar = AlteringResolution(LowResolution(hr, 0.5), build_fusion("evidence", hr)).eval()
    image = torch.randn(1, 3, 64, 96)
    share = torch.tensor(FIRST_WEIGHT).sigmoid()
    with torch.no_grad():
        logits, carried = ar.keyframe(hr, image)
        fused = ar(image, carried, still((16, 24)))
        torch.testing.assert_close(fused, share * ar.low(image) + (1 - share) * logits, atol=1e-4, rtol=1e-4)
    assert share < 0.2


@pytest.mark.parametrize("size", [(64, 96), (70, 101)])
@torch.no_grad()
def test_creff_begins_at_the_low_branch_in_half_pixel_geometry(hr, size):
    """Before training the fused features are the LR branch's, where `LowResolution` puts them."""
    low = LowResolution(hr, 0.5)
    ar = AlteringResolution(low, build_fusion("creff", hr)).eval()
    image, key = torch.randn(1, 3, *size), torch.randn(1, 3, *size)
    carried = ar.keyframe(hr, key)[1]
    motion = still((-(-size[0] // 4), -(-size[1] // 4)))
    fused_p = ar.fusion.features(low.network.features(low.shrink(image)), ar.warp(carried, motion, size))
    torch.testing.assert_close(fused_p, low.features(image), atol=1e-5, rtol=1e-5)
    published = AlteringResolution(LowResolution(hr, 0.5, compat=True), build_fusion("creff", hr, compat=True))
    p = published.low.network.features(low.shrink(image))
    assert not torch.allclose(published.fusion.features(p, carried), low.enlarge(p, size), atol=1e-2)


def test_gradients_reach_fusion_and_branch_but_not_a_frozen_classifier(hr):
    low = LowResolution(SwiftNet(5), 0.5)
    low.freeze_classifier()
    ar = AlteringResolution(low, build_fusion("evidence", low)).train()
    frozen = {name for name, p in low.network.named_parameters() if not p.requires_grad}
    assert frozen == {"logits.norm.weight", "logits.norm.bias", "logits.conv.weight", "logits.conv.bias"}
    assert not low.network.logits.norm.training
    assert low.network.backbone.bn1.training
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        p = hr.features(image)
        logits = hr.classify(p)
    carried = ar.fusion.carry(hr, image, p, logits)
    small = low.shrink(image)
    ar.fuse(small, low.network.features(small), carried, still((16, 24), 2), (64, 96)).square().mean().backward()
    for name, parameter in ar.named_parameters():
        if parameter.requires_grad:
            silent = name.startswith("fusion.") and not name.startswith("fusion.weigh")  # behind weights that are zero
            assert (parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)) != silent, name


def test_quarters_repeat_the_border_of_odd_maps():
    x = torch.arange(15.0).view(1, 1, 3, 5)
    out = quarters(x)
    assert out.shape == (1, 4, 2, 3)
    assert out[0, :, 0, 0].tolist() == [0, 1, 5, 6]
    assert out[0, :, 1, 2].tolist() == [14, 14, 14, 14]

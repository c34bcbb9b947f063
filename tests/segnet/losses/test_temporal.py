"""ETC's network, motion loss and distillation (Liu et al., ECCV 2020): what must hold for any numbers."""

import pytest
import torch
from torch import nn

from gopseg.segnet import ModelError, build_network, parameter_count
from gopseg.segnet.importing.published import import_network, read_checkpoint
from gopseg.segnet.losses.conv_lstm import ConvLSTM
from gopseg.segnet.losses.distillation import (
    MultiFrameDistillation,
    affinity,
    pair_distillation,
    self_affinity_distillation,
    single_frame_distillation,
)
from gopseg.segnet.losses.temporal import motion_loss, published_motion_loss, published_visibility, visibility


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network("etc-psp18", 19).eval()


def test_sizes_strides_and_dilations_of_etcs_network(network):
    assert parameter_count(network) == 14_399_590
    assert parameter_count(network.aux) == 595_219
    counts = [parameter_count(getattr(network, f"layer{i}")) for i in range(5)]
    assert counts == [9_536, 147_968, 525_568, 2_099_712, 8_393_728]
    for stage, dilation in ((network.layer3, 2), (network.layer4, 4)):
        for block in stage:
            assert (block.conv1.stride, block.conv1.dilation, block.conv1.padding) == ((1, 1), (1, 1), (1, 1))
            assert block.conv2.dilation == block.conv2.padding == (dilation, dilation)
        assert stage[0].downsample[0].stride == (1, 1)
    with torch.device("meta"):
        meta = build_network("etc-psp18", 19).eval()
    assert meta(torch.empty(1, 3, 769, 769, device="meta")).shape == (1, 19, 97, 97)
    assert meta(torch.empty(1, 3, 1024, 2048, device="meta")).shape == (1, 19, 128, 256)


def test_the_student_is_taken_out_of_etcs_training_wrapper(network, tmp_path):
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    wrapped = {f"module.student.{k}": v for k, v in state.items()}
    wrapped |= {f"module.{k}": torch.zeros(2) for k in ("flownet.flownetc.conv1.0.weight", "criterion.weight")}
    wrapped["module.teacher.cls.0.weight"] = torch.ones(3)
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "etc.pth")
    found, _ = import_network(read_checkpoint(tmp_path / "etc.pth"), "etc-psp18")
    torch.testing.assert_close(found.state_dict(), network.state_dict())
    del wrapped["module.student.layer3.0.conv2.weight"]
    torch.save(wrapped, tmp_path / "part.pth")
    with pytest.raises(ModelError, match=r"missing 'layer3\.0\.conv2\.weight'"):
        import_network(read_checkpoint(tmp_path / "part.pth"), "etc-psp18")


def moving(shift, seed=0, size_hw=(24, 32), cells=(24, 32), channels=5):
    """A frame, its neighbour, logits of both, and the backward motion, of a picture that moves `shift` cells."""
    torch.manual_seed(seed)
    down, right = size_hw[0] // cells[0], size_hw[1] // cells[1]
    logits = 3 * torch.randn(2, channels, *cells)
    image = torch.randn(2, 3, *size_hw)
    dx, dy = shift
    neighbour = image.roll((dy * down, dx * right), (2, 3))
    displacement = torch.tensor([float(dx * right), float(dy * down)]).expand(2, *size_hw, 2)
    return image, neighbour, displacement, logits, logits.roll((dy, dx), (2, 3))


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-5, 1)])
@pytest.mark.parametrize("cells", [(24, 32), (12, 16)])
@pytest.mark.parametrize("measure", ["squared", "kl"])
def test_predictions_that_move_with_the_picture_cost_nothing(shift, cells, measure):
    """What leaves the picture is left out, so the loss is 0 and not merely small."""
    image, neighbour, displacement, logits, moved = moving(shift, cells=cells)
    assert motion_loss(image, neighbour, displacement, logits, moved, measure=measure) == pytest.approx(0, abs=1e-5)
    assert motion_loss(image, neighbour, displacement, logits, moved.flip(1), measure=measure) > 0.01
    if shift != (0, 0):
        assert motion_loss(image, neighbour, 0 * displacement, logits, moved, measure=measure) > 0.01


def test_only_what_the_motion_explains_counts():
    image, neighbour, displacement, logits, moved = moving((2, 1))
    validity = torch.ones(2, 1, 24, 32)
    moved[..., 10:14, 10:14] *= -1
    assert motion_loss(image, neighbour, displacement, logits, moved, validity) > 1e-3
    validity[..., 9:13, 8:12] = 0
    assert motion_loss(image, neighbour, displacement, logits, moved, validity) == pytest.approx(0, abs=1e-6)
    assert motion_loss(image, neighbour, displacement, logits, moved, 0 * validity) == 0


def test_the_motion_loss_by_hand():
    """One row of two cells, no motion: weights exp(-0.5) and 1, squared distances 2 p^2 and 0."""
    image, neighbour = torch.zeros(1, 3, 1, 2), torch.zeros(1, 3, 1, 2)
    neighbour[:, :, 0, 0] = torch.tensor([1.5, -0.75, -0.75])  # the sum over colours is 0, the mean distance is 1
    logits, other = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    other[0, 0, 0, 0] = 1.0
    still = torch.zeros(1, 1, 2, 2)
    near = torch.exp(torch.tensor(-0.5))
    torch.testing.assert_close(visibility(image, neighbour, still, 2.0).flatten(), torch.stack([near, torch.ones(())]))
    p = torch.sigmoid(torch.tensor(1.0)) - 0.5
    expected = near * 2 * p**2 / (near + 1)
    found = motion_loss(image, neighbour, still, logits, other, temperature=2.0)
    torch.testing.assert_close(found, expected)
    assert published_visibility(image, neighbour, still).flatten().tolist() == [1, 1]
    assert published_motion_loss(image, neighbour, still, logits, other) == pytest.approx(1 / 4)


def test_both_frames_learn():
    image, neighbour, displacement, logits, moved = moving((1, 0))
    for loss in (motion_loss, published_motion_loss):
        own, other = logits.clone().requires_grad_(), moved.flip(1).clone().requires_grad_()
        loss(image, neighbour, displacement, own, other).backward()
        assert own.grad.abs().sum() > 0
        assert other.grad.abs().sum() > 0


@pytest.mark.parametrize("seed", [0, 1])
def test_affinities_are_cosines(seed):
    torch.manual_seed(seed)
    first, second = torch.randn(2, 7, 3, 5), torch.randn(2, 7, 3, 5)
    first[0, :, 1, 1] = 0
    found = affinity(first, second)
    cosine = nn.CosineSimilarity(-1)
    a, b = (x.flatten(2).transpose(1, 2) for x in (first, second))
    torch.testing.assert_close(found, cosine(a[:, :, None], b[:, None]))
    assert found.abs().max() <= 1 + 1e-6
    own = affinity(second, second)
    torch.testing.assert_close(own, affinity(second, second, compat=True))
    torch.testing.assert_close(own.diagonal(dim1=1, dim2=2), torch.ones(2, 15))


def test_equal_networks_cost_nothing_and_others_something():
    torch.manual_seed(0)
    maps, others = torch.randn(3, 2, 6, 9, 13).unbind(), torch.randn(3, 2, 8, 10, 12).unbind()
    weights = (0.4, 1, 0.4)
    module = MultiFrameDistillation(pool=4)
    for compat in (False, True):
        assert single_frame_distillation(maps[0], maps[0], compat=compat) == pytest.approx(0, abs=1e-6)
        assert single_frame_distillation(maps[0], maps[1], compat=compat) > 1e-3
        assert pair_distillation(maps[:2], maps[:2], compat=compat) == 0
        assert pair_distillation(maps[:2], others[:2], compat=compat) > 1e-3
    assert self_affinity_distillation(maps, maps, weights) == 0
    assert self_affinity_distillation(maps, others, weights) > 1e-3
    assert module(maps, maps) == 0
    assert module(maps, others) > 1e-7


def test_the_temperature_keeps_the_size_of_gradients():
    logits, teacher = torch.zeros(1, 4, 2, 2, requires_grad=True), torch.linspace(-0.1, 0.1, 16).view(1, 4, 2, 2)
    (one,) = torch.autograd.grad(single_frame_distillation(logits, teacher), logits)
    (ten,) = torch.autograd.grad(single_frame_distillation(logits, teacher, temperature=10.0), logits)
    torch.testing.assert_close(one, ten, rtol=0.05, atol=1e-5)
    assert one.abs().max() > 1e-4


def test_the_random_projection_stays_as_it_is():
    """The order of frames counts, and only the student learns."""
    module, state = MultiFrameDistillation(pool=2), torch.random.get_rng_state()
    assert not any(p.requires_grad for p in module.parameters())
    torch.testing.assert_close(module.state_dict(), MultiFrameDistillation(pool=2).state_dict())
    assert torch.equal(torch.random.get_rng_state(), state)
    maps = [torch.randn(1, 6, 8, 8, requires_grad=True) for _ in range(3)]
    module(maps, [torch.randn(1, 6, 8, 8) for _ in range(3)]).backward()
    assert all(x.grad.abs().sum() > 0 for x in maps)
    assert not torch.allclose(module.encode(maps)[0], module.encode(maps[::-1])[0])


def test_a_step_of_the_convlstm_by_hand():
    """A 1x1 picture, whose only tap is the kernel's middle; gates in the order input, forget, output, candidate."""
    module = ConvLSTM(1, 1)
    with torch.no_grad():
        module.Gates.weight.zero_()
        module.Gates.weight[:, 0, 1, 1] = torch.tensor([1.0, 2.0, 3.0, 4.0])
        module.Gates.weight[:, 1, 1, 1] = torch.tensor([0.5, 0.6, 0.7, 0.8])
        module.Gates.bias[:] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    x, hidden, cell = (torch.full((1, 1, 1, 1), value) for value in (0.25, -0.5, 0.75))
    enter, keep, leave = (torch.sigmoid(torch.tensor(v)) for v in (0.25 - 0.25 + 0.1, 0.5 - 0.3 + 0.2, 0.75 - 0.05))
    new_cell = keep * 0.75 + enter * torch.tanh(torch.tensor(1.0 - 0.4 + 0.4))
    with torch.no_grad():
        found_hidden, found_cell = module.step(x, hidden, cell)
    assert float(found_cell) == pytest.approx(float(new_cell))
    assert float(found_hidden) == pytest.approx(float(leave * torch.tanh(new_cell)))

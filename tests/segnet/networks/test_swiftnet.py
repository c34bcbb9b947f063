import zlib

import numpy as np
import pytest
import torch

from gopseg.segnet import SwiftNet, parameter_count

UNTOUCHED = ("num_batches_tracked", "img_mean", "img_std")


def filled(network):
    """Filled by the rule of the fingerprints (`fingerprints/*.json`)."""
    state = network.state_dict()
    for key, tensor in state.items():
        if key.endswith(UNTOUCHED):
            continue
        u = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF).uniform(-1, 1, tensor.numel())
        u = u.reshape(tuple(tensor.shape))
        if tensor.ndim >= 2:
            u = u * np.sqrt(6 / np.prod(tensor.shape[1:]))
        elif key.endswith("running_var"):
            u = 1 + 0.2 * u
        elif key.endswith("running_mean"):
            u = 0.05 * u
        elif key.endswith("bias"):
            u = 0.1 * u
        else:
            u = 1 + 0.1 * u
        tensor.copy_(torch.from_numpy(u))
    return network.eval()


def test_parameters_and_tensors_are_the_published_ones():
    network = SwiftNet(19)
    assert parameter_count(network) == 11_797_071
    assert len(network.state_dict()) == 195
    assert sum(v.numel() for v in network.state_dict().values()) == 11_810_929


@torch.inference_mode()
def test_fingerprint():
    network = filled(SwiftNet(19))
    image = torch.from_numpy(np.random.RandomState(1).uniform(-1, 1, (1, 3, 128, 256))).float()
    out = network(image).double()
    assert out.shape == (1, 19, 32, 64)
    measured = [out.mean(), out.std(), out.min(), out.max(), *out.flatten()[:3]]
    expected = [-9.776729, 40.456075, -110.851570, 99.538223, -3.01861, -21.49098, -21.61424]
    np.testing.assert_allclose(np.array(measured), expected, rtol=1e-3)


@pytest.mark.parametrize("size", [(64, 96), (75, 101), (33, 47)])
def test_any_size_and_the_split_at_p(size):
    network = SwiftNet(["a", "b", "c"]).eval()
    image = torch.randn(2, 3, *size)
    with torch.inference_mode():
        p = network.features(image)
        assert p.shape == (2, 128, -(-size[0] // 4), -(-size[1] // 4))
        logits = network.classify(p)
        assert logits.shape == (2, 3, *p.shape[-2:])
        torch.testing.assert_close(logits, network(image))


def test_normalise_gives_the_channels_zero_mean():
    network = SwiftNet(2)
    image = network.mean.view(1, 1, 1, 3).expand(1, 4, 5, 3)
    assert network.normalise(image).abs().max() < 1e-5
    assert network.normalise(image + network.std.view(1, 1, 1, 3)).sub(1).abs().max() < 1e-5

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gopseg.segnet.fusion.attention import TILE_HW, local_attention, local_attention_by_definition

SHAPES = [((2, 8, 12, 16), 8), ((1, 16, 33, 47), 11), ((3, 5, 3, 2), 7), ((1, 4, 90, 120), 4)]


def maps(shape, value_channels, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    query, key = (torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(2))
    return query, key, torch.randn(shape[0], value_channels, *shape[2:], dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("window", [1, 3, 7, 11])
@pytest.mark.parametrize(("shape", "value_channels"), SHAPES)
def test_equal_to_the_definition_with_its_gradients(shape, value_channels, window):
    inputs = maps(shape, value_channels)
    fast, plain = (f(*inputs, window) for f in (local_attention, local_attention_by_definition))
    assert fast.shape == plain.shape == (shape[0], value_channels, *shape[2:])
    torch.testing.assert_close(fast, plain, atol=1e-5 * plain.abs().max().item(), rtol=0)
    grad = torch.randn_like(fast)
    for mine, theirs in zip(
        torch.autograd.grad(fast, inputs, grad), torch.autograd.grad(plain, inputs, grad), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-5 * theirs.abs().max().item(), rtol=0)


def test_gradients_numerically():
    assert torch.autograd.gradcheck(lambda *x: local_attention(*x, 5), maps((1, 2, 5, 9), 3, torch.float64))


@pytest.mark.parametrize("budget", [1, 1 << 30])
def test_parts_do_not_show(monkeypatch, budget):
    query, key, value = (x.detach() for x in maps((3, 4, 21, 30), 4))
    expected = local_attention(query, key, value)
    monkeypatch.setitem(local_attention.__globals__["CHUNK_BYTES"], "cpu", budget)
    torch.testing.assert_close(local_attention(query, key, value), expected, atol=1e-5, rtol=0)


def test_channels_last_and_a_value_of_logits():
    query, key, value = (x.detach() for x in maps((1, 16, 24, 32), 16))
    last = [x.to(memory_format=torch.channels_last) for x in (query, key, value)]
    out = local_attention(*last)
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, local_attention(query, key, value), atol=1e-5, rtol=0)
    # a linear map of the value commutes with the weighted sum
    classify = torch.randn(3, 16)
    logits = torch.einsum("kc,nchw->nkhw", classify, out)
    directly = local_attention(query, key, torch.einsum("kc,nchw->nkhw", classify, value))
    torch.testing.assert_close(directly, logits, atol=1e-4, rtol=0)


def test_attention_leaks_out_at_borders():
    ones = torch.ones(1, 1, 9, 9)
    e = torch.e
    out = local_attention(ones, ones, ones)[0, 0]
    measured = [out[4, 4], out[0, 4], out[0, 0]]
    assert [float(x) for x in measured] == pytest.approx([1, 28 * e / (28 * e + 21), 16 * e / (16 * e + 33)], abs=1e-6)


class LargestTensor(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation made."""

    nbytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.nbytes = max(self.nbytes, out.untyped_storage().nbytes())
        return out


def test_no_tensor_is_larger_than_the_inputs(monkeypatch):
    monkeypatch.setitem(local_attention.__globals__["CHUNK_BYTES"], "cpu", 1 << 20)
    query, key, value = maps((1, 16, 160, 160), 16)
    with LargestTensor() as largest:
        local_attention(query, key, value).sum().backward()
    assert largest.nbytes <= value.nbytes
    with LargestTensor() as largest:
        local_attention_by_definition(query, key, value)
    assert largest.nbytes >= 49 * value.nbytes


def test_scores_beyond_the_range_of_half_precision():
    query, key, value = (x.detach() for x in maps((1, 8, 8, 8), 8))
    query, key = 200 * query, 200 * key
    out = local_attention(query.half(), key.half(), value.half())
    assert out.dtype == torch.float16
    torch.testing.assert_close(out.float(), local_attention_by_definition(query, key, value), atol=5e-3, rtol=0)


def test_what_does_not_fit_is_refused():
    x = torch.zeros(1, 4, *TILE_HW)
    with pytest.raises(ValueError, match="odd and positive, not 4"):
        local_attention(x, x, x, 4)
    with pytest.raises(ValueError, match=r"got \(1, 4, 4, 8\), \(1, 3, 4, 8\)"):
        local_attention(x, x[:, :3], x)

"""A pretended accelerator: the device `pretend:0`, whose tensors hold CPU tensors and must not meet CPU tensors.

Nothing here has a GPU, so code that would mix devices on one fails here instead: an operation that is given tensors of
both devices raises, as it does on CUDA; 0-dimensional CPU tensors are let through, and copies between the devices are
the only way across. Results are the CPU's own, bit by bit. `pretend_device()` sets the backend up, once a process.
Importing this before gopseg puts `no_grad` in the place of inference mode, in which torch refuses such tensors.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

torch.inference_mode = torch.no_grad

NAME = "pretend"
ACROSS = {torch.ops.aten._to_copy, torch.ops.aten.copy_, torch.ops.aten._copy_from, torch.ops.aten.set_}
copies: list[tuple[str, tuple[int, ...]]] = []
"""Every copy between the devices since it was last cleared: "to" or "from" the device, and the shape."""


class MixedDevicesError(RuntimeError):
    """An operation was given tensors on both devices."""


class PretendedTensor(torch.Tensor):
    """A tensor on the pretended device; `held` is where its values are."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> PretendedTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(NAME, 0),
            requires_grad=held.requires_grad,
        )
        made.held = held.detach()
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"pretended {self.held!r}"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _from_cpu, (self.held,)


def _from_cpu(held: torch.Tensor) -> PretendedTensor:
    return PretendedTensor(held)


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on what its tensors hold; the result is on the device that the arguments say."""
    tensors: list[torch.Tensor] = []
    tree_map(lambda x: tensors.append(x) if isinstance(x, torch.Tensor) else None, (args, kwargs))
    packet = getattr(func, "overloadpacket", func)
    pretended = [isinstance(tensor, PretendedTensor) for tensor in tensors]
    device = kwargs.get("device")
    if packet in ACROSS:
        return _copy(func, packet, args, kwargs, tensors)
    if any(pretended):
        strangers = [t for t, own in zip(tensors, pretended, strict=True) if not own and t.dim() > 0]
        if strangers and not _takes_cpu_indices(packet, tensors, args):
            raise MixedDevicesError(f"{func}: tensors on {NAME} and on the CPU, {tuple(strangers[0].shape)}")
    on_device = (device is None and any(pretended)) or (device is not None and torch.device(device).type == NAME)
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    held_args, held_kwargs = tree_map(_held, (args, kwargs))
    result = func(*held_args, **held_kwargs)
    inplace = {id(_held(t)): t for t in tensors if isinstance(t, PretendedTensor)}

    def wrap(x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        if id(x) in inplace:
            return inplace[id(x)]
        return PretendedTensor(x) if on_device else x

    return tree_map(wrap, result)


def _takes_cpu_indices(packet: Any, tensors: list[torch.Tensor], args: Any) -> bool:
    """Indexing a device's tensor by CPU indices is allowed, as on CUDA."""
    names = ("index", "index_put", "index_put_", "_index_put_impl_")
    return getattr(packet, "__name__", "") in names and isinstance(args[0], PretendedTensor)


def _copy(func: Any, packet: Any, args: Any, kwargs: dict[str, Any], tensors: list[torch.Tensor]) -> Any:
    held_args, held_kwargs = tree_map(_held, (args, kwargs))
    if packet is torch.ops.aten._to_copy:
        source = args[0]
        device = kwargs.get("device")
        target = NAME if device is None and isinstance(source, PretendedTensor) else torch.device(device or "cpu").type
        _note(isinstance(source, PretendedTensor), target == NAME, source)
        held_kwargs = {**held_kwargs, "device": torch.device("cpu"), "non_blocking": False}
        copied = func(*held_args, **held_kwargs)
        return PretendedTensor(copied) if target == NAME else copied
    if packet is torch.ops.aten._copy_from:
        source, target_tensor = args[0], args[1]
        _note(isinstance(source, PretendedTensor), isinstance(target_tensor, PretendedTensor), source)
        _held(target_tensor).copy_(_held(source))
        return target_tensor
    _note(len(tensors) > 1 and isinstance(tensors[1], PretendedTensor), isinstance(args[0], PretendedTensor), args[0])
    func(*held_args, **held_kwargs)
    return args[0]


def _note(from_device: bool, to_device: bool, tensor: torch.Tensor) -> None:
    if from_device != to_device:
        copies.append(("to" if to_device else "from", tuple(tensor.shape)))


def _held(x: Any) -> Any:
    if isinstance(x, PretendedTensor):
        return x.held
    return x


class _Module(_DummyBackendModule):
    """What torch asks a backend."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


@cache
def pretend_device() -> torch.device:
    """The device, ready for use."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    library = torch.library.Library("aten", "IMPL")
    _keep.append(library)

    def empty_memory_format(
        size: Any,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: Any = None,
        memory_format: Any = None,
    ) -> torch.Tensor:
        return PretendedTensor(torch.empty(size, dtype=dtype, memory_format=memory_format or torch.contiguous_format))

    def empty_strided(
        size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: Any = None
    ) -> torch.Tensor:
        return PretendedTensor(torch.empty_strided(size, stride, dtype=dtype))

    def copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        _note(isinstance(source, PretendedTensor), isinstance(target, PretendedTensor), source)
        _held(target).copy_(_held(source))
        return target

    def factory(func: Any) -> Any:
        def make(*args: Any, device: Any = None, pin_memory: Any = None, layout: Any = None, **kwargs: Any) -> Any:
            return PretendedTensor(func(*args, device=torch.device("cpu"), **kwargs))

        return make

    # torch makes these by resizing an empty tensor, which a wrapper cannot follow
    for name in ("arange", "arange.start", "arange.start_step", "linspace", "randperm", "eye"):
        packet, _, overload = name.partition(".")
        library.impl(name, factory(getattr(getattr(torch.ops.aten, packet), overload or "default")), "PrivateUse1")
    library.impl("empty.memory_format", empty_memory_format, "PrivateUse1")
    library.impl("empty_strided", empty_strided, "PrivateUse1")
    library.impl("_copy_from", copy_from, "PrivateUse1")
    return torch.device(NAME, 0)


_keep: list[Any] = []

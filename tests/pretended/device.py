"""A pretended accelerator: the device `pretend:0`, whose tensors hold CPU tensors and must not meet CPU tensors.

Nothing here has a GPU, so code that would mix devices on one fails here instead: an operation that is given tensors of
both devices raises, as it does on CUDA; 0-dimensional CPU tensors are let through, and copies between the devices are
the only way across. Results are the CPU's own, bit by bit. `pretend_device()` sets the backend up, once a process.

Copies are noted (`copies`), and whether the processor waits for them: it does unless they are `non_blocking` and the
processor's side is `pinned`. Such a copy from the device is made when its event is waited for, and not before; until
then there is noise. `waits` are the other things that are waited for: events, and values that Python asks for.
Importing this before gopseg puts `no_grad` in the place of inference mode, in which torch refuses such tensors.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

torch.inference_mode = torch.no_grad

NAME = "pretend"
ACROSS = {torch.ops.aten._to_copy, torch.ops.aten.copy_, torch.ops.aten._copy_from, torch.ops.aten.set_}
SCALARS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "is_nonzero", "equal")


class Copy(NamedTuple):
    """A copy "to" or "from" the device: what it copies, and whether the processor waits for it."""

    direction: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    waited: bool


copies: list[Copy] = []
"""Every copy between the devices since it was last cleared."""
waits: list[str] = []
"""What else was waited for since it was last cleared: "event", or an operation's name."""
_queue: list[tuple[torch.Tensor, torch.Tensor]] = []
"""Copies from the device that are not made yet: targets and values."""


def pinned(size: Any, dtype: torch.dtype) -> torch.Tensor:
    """What `on_device.transfers.pinned` is here."""
    made = torch.empty(tuple(size), dtype=dtype)
    made.is_pinned_here = True  # type: ignore[attr-defined]
    return made


class Event:
    """As `torch.cuda.Event`: once waited for, what was queued before it was recorded is done."""

    def __init__(self, blocking: bool = False) -> None:
        self._before: list[tuple[torch.Tensor, torch.Tensor]] = []

    def record(self, stream: Any = None) -> None:
        self._before, _queue[:] = list(_queue), []

    def synchronize(self) -> None:
        waits.append("event")
        for target, values in self._before:
            target.copy_(values)


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
    if any(pretended) and getattr(packet, "__name__", "") in SCALARS:
        waits.append(packet.__name__)
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
        _note(isinstance(source, PretendedTensor), target == NAME, source, None, bool(kwargs.get("non_blocking")))
        held_kwargs = {**held_kwargs, "device": torch.device("cpu"), "non_blocking": False}
        copied = func(*held_args, **held_kwargs)
        return PretendedTensor(copied) if target == NAME else copied
    if packet is torch.ops.aten._copy_from:
        return _across(args[0], args[1], bool(args[2]) if len(args) > 2 else False)
    if len(tensors) > 1:
        non_blocking = kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
        return _across(tensors[1], args[0], bool(non_blocking))
    func(*held_args, **held_kwargs)
    return args[0]


def _across(source: torch.Tensor, target: torch.Tensor, non_blocking: bool) -> torch.Tensor:
    waited = _note(
        isinstance(source, PretendedTensor), isinstance(target, PretendedTensor), source, target, non_blocking
    )
    if isinstance(source, PretendedTensor) and not isinstance(target, PretendedTensor) and not waited:
        target.view(torch.uint8).random_(0, 256)
        _queue.append((target, _held(source).clone()))
    else:
        _held(target).copy_(_held(source))
    return target


def _note(
    from_device: bool, to_device: bool, source: torch.Tensor, target: torch.Tensor | None, non_blocking: bool
) -> bool:
    """Whether the processor waits for a copy; copies between the devices are noted."""
    on_cpu = source if to_device else target
    waited = not (non_blocking and getattr(on_cpu, "is_pinned_here", False))
    if from_device != to_device:
        direction = "to" if to_device else "from"
        copies.append(Copy(direction, tuple(source.shape), str(source.dtype), source.nbytes, waited))
    return waited


def _held(x: Any) -> Any:
    if isinstance(x, PretendedTensor):
        return x.held
    return x


class _Module(_DummyBackendModule):
    """What torch asks a backend."""

    Event = Event

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def current_stream(self, device: Any = None) -> None:
        return None


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
        return _across(source, target, non_blocking)

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

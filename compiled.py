"""Loops compiled by Numba where it is installed (extra `fast`), made ready in a thread while NumPy does their work."""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
VARIABLE = "GOPSEG_COMPILED"
"""The environment variable that says when compiled loops are used: `auto` (the default), `now` or `never`."""

_PATIENCE = 16  # times that a short run asks without having to load Numba
_log = logging.getLogger(__name__)


class Loops:
    """The compiled loops of one `module` (its full name), which defines them by `compiled_loop`.

    The module is imported, which compiles its loops or loads them from Numba's cache, in a thread of its own once they
    have been asked for some times; until then, without Numba, and where it fails, there are none, and the caller goes
    NumPy's way. With the environment variable GOPSEG_COMPILED=now the first to ask waits for them, with `never` there
    are none.
    """

    when: ClassVar[str] = os.environ.get(VARIABLE, "auto")
    """What the environment variable says."""

    def __init__(self, module: str) -> None:
        self._name, self._asked = module, 0
        self._lock = threading.Lock()
        self._loader: threading.Thread | None = None
        self._module: Any = None

    def get(self) -> Any | None:
        """The module, None while it is not there; in any thread."""
        if self._module is not None and Loops.when != "never":
            return self._module
        self._asked += 1
        if Loops.when == "now":
            self.wait()
            return self._module
        if self._loader is None and Loops.when == "auto" and self._asked > _PATIENCE:
            self._start()
        return None

    def wait(self) -> bool:
        """Have them loaded, and tell whether they are there."""
        self._start().join()
        return self._module is not None

    def _start(self) -> threading.Thread:
        with self._lock:
            if self._loader is None:
                # no daemon: a process that ends in the middle of a compilation waits for it, and the next one has it
                self._loader = threading.Thread(target=self._load, name="compiling")
                self._loader.start()
            return self._loader

    def _load(self) -> None:
        try:
            self._module = importlib.import_module(self._name)
        except ImportError as error:
            _log.debug("%s: no compiled loops: %s", self._name, error)
        except Exception as error:
            _log.warning("%s: loops cannot be compiled, NumPy takes their place: %s", self._name, error)


def for_loops(array: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
    """An array as signatures of loops describe it: of one `kind` of numbers, without gaps, and one that may be written
    to; a copy where it is not."""
    if array.dtype == kind and array.flags.carray:  # all of that, and much faster
        return array
    return np.require(array, kind, ["C", "A", "W"])


def compiled_loop(signature: str) -> Callable[[F], F]:
    """Decorates a function of NumPy arrays and numbers, to be compiled for Numba's types of `signature` at once.

    It runs without Python's lock and checks no bounds. Machine code is kept beside the source or, where that cannot be
    written, in the user's cache folder (Numba's NUMBA_CACHE_DIR). Raises ImportError where Numba is not installed or
    switched off, and where machine code can be kept nowhere, unless loops are wanted now.
    """
    import numba

    logging.getLogger("numba").setLevel(logging.WARNING)
    if numba.config.DISABLE_JIT:
        raise ImportError("NUMBA_DISABLE_JIT is set")
    options = {"nogil": True, "boundscheck": False, "error_model": "numpy", "_nrt": False}

    def decorate(function: F) -> F:
        try:
            compiled: F = numba.njit(signature, cache=True, **options)(function)
        except RuntimeError as error:  # no folder for a cache
            if Loops.when != "now":  # each run would compile for longer than it gains
                raise ImportError(f"compiled code can be kept nowhere; set NUMBA_CACHE_DIR ({error})") from error
            compiled = numba.njit(signature, **options)(function)
        return compiled

    return decorate


def vector_at(context: Any, builder: Any, kind: Any, array: Any, index: Any, size: int) -> Any:
    """Where `size` numbers of an array of Numba's type `kind` lie from an index on, for an intrinsic: a pointer to one
    vector."""
    from llvmlite import ir

    data = context.make_array(kind)(context, builder, array).data
    vector = ir.VectorType(context.get_data_type(kind.dtype), size)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def spread(builder: Any, value: Any, size: int) -> Any:
    """A vector of `size` times a number, for an intrinsic."""
    from llvmlite import ir

    kind, index = ir.VectorType(value.type, size), ir.IntType(32)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, index(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(index, size), [0] * size))

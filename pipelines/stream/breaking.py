"""What breaks a run off: `Breaking` gives the frames before, `broken_off` tells what becomes of them; nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ...codec import CodecError
from ...errors import GopsegError
from ..errors import OutputError, StreamError

T = TypeVar("T")


class Breaking(Generic[T]):
    """Iterates `items` and ends where reading on, or `load` of an item, raises an error of the source.

    `failure` is that error then: whoever read to the end raises it once the frames that still wait in encoders, queues
    and batches are done.
    """

    def __init__(self, items: Iterable[T], load: Callable[[T], object] = lambda _: None) -> None:
        self._items, self._load = items, load
        self.failure: CodecError | None = None

    def __iter__(self) -> Iterator[T]:
        try:
            for item in self._items:
                self._load(item)
                yield item
        except CodecError as error:
            self.failure = error


HELD = "the outputs hold the frames before that"


def broken_off(error: BaseException, kept: str = HELD, *, goes_on: bool = True) -> BaseException:
    """What to tell of a run that `error` broke off: also what is `kept`, and, where it `goes_on` by it, of --resume."""
    if goes_on:
        kept += ", and --resume goes on from there"
        kept += " once there is room" if isinstance(error, OutputError) else ""
    if isinstance(error, GopsegError):
        return StreamError(f"{error}; {kept}")
    error.add_note(kept)
    return error

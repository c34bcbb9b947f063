"""`Breaking`: frames up to where reading them fails, so that what came before goes its way to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ...codec import CodecError

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

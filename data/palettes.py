"""Palettes: names and colours of classes, and the files that hold them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError


class PaletteError(InputError, ValueError):
    """A palette is not known by its name, or its file cannot be read."""


@dataclass(frozen=True, eq=False)
class Palette:
    """The `names` of n classes and their `colours`, (n, 3) uint8 RGB; class i has row i.

    Labels beyond the last class, 255 for void among them, are drawn in `void`. Raises PaletteError where names and
    colours do not fit each other, or where there are more than the 255 classes that 8-bit labels can hold.
    """

    names: tuple[str, ...]
    colours: NDArray[np.uint8]
    void: tuple[int, int, int] = (0, 0, 0)
    _table: NDArray[np.uint8] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        colours = np.array(self.colours, np.uint8)
        if colours.shape != (len(self.names), 3):
            raise PaletteError(
                f"a palette with {len(self.names)} names needs colours of shape ({len(self.names)}, 3), "
                f"not {colours.shape}; give one RGB colour a class"
            )
        if not 1 <= len(self.names) <= 255:
            raise PaletteError(f"a palette has 1 to 255 classes, not {len(self.names)}; 8-bit labels hold no more")
        table = np.empty((256, 3), np.uint8)
        table[:] = self.void
        table[: len(colours)] = colours
        for array in (colours, table):
            array.flags.writeable = False
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "colours", colours)
        object.__setattr__(self, "_table", table)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Palette({len(self)} classes: {', '.join(self.names[:3])}{', ...' if len(self) > 3 else ''})"

    @classmethod
    def of(cls, colours: Mapping[str, tuple[int, int, int]]) -> Palette:
        """The palette of a mapping from names to RGB colours."""
        return cls(tuple(colours), np.array(list(colours.values()), np.uint8).reshape(-1, 3))

    @property
    def table(self) -> NDArray[np.uint8]:
        """The colour of every 8-bit label, (256, 3) uint8 RGB: what a paletted PNG needs."""
        return self._table

    def color(self, labels: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Labels of any shape (..., ), values 0 to 255, as colours (..., 3) uint8 RGB."""
        return np.asarray(self._table[labels], np.uint8)


def read_palette(path: Path) -> Palette:
    """The palette of a JSON or CSV file.

    JSON is a list of `{"name": ..., "color": [r, g, b]}` or an object `{name: [r, g, b], ...}`, or either of them
    under `classes`, as in a data set's `classes.json`; CSV has the columns name, r, g, b with or without a heading, as
    `class_dict.csv` of CamVid's authors does. Channels are 0 to 255.
    Raises PaletteError where the file is missing, of another kind or wrong.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise PaletteError(f"palette '{path}': is no .json or .csv file; save names and colours as one of them")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PaletteError(f"palette '{path}': cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise PaletteError(f"palette '{path}': is no text; save it as UTF-8") from error
    return make_palette(lambda: reader(text), f"palette '{path}'")


def make_palette(entries: Callable[[], Iterable[tuple[Any, Any]]], source: str) -> Palette:
    """The palette of (name, [r, g, b]) entries; PaletteError, which begins with `source`, where they are wrong."""
    try:
        found = [(str(name), _colour(colour)) for name, colour in entries()]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise PaletteError(f"{source}: {error}; give a name and r, g, b from 0 to 255 for each class") from error
    names = [name for name, _ in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise PaletteError(f"{source}: the class '{min(twice)}' is there twice; name each class once")
    if not found:
        raise PaletteError(f"{source}: has no classes; give a name and r, g, b for each")
    return Palette.of(dict(found))


def class_facts(content: Any) -> Mapping[str, Any]:
    """A parsed JSON as an object with `classes`: as it is where its `classes` are a palette, else with it as them."""
    listed = content.get("classes") if isinstance(content, Mapping) else None
    is_facts = isinstance(listed, Mapping) or (isinstance(listed, list) and any(isinstance(x, Mapping) for x in listed))
    return content if is_facts else {"classes": content}


def json_entries(content: Any) -> list[tuple[Any, Any]]:
    """(name, colour) of each class in a parsed JSON: a list of `{"name", "color"}`, or an object of name: colour."""
    if isinstance(content, dict):
        return list(content.items())
    return [(entry["name"], entry["color"]) for entry in content]


def voc_colours(count: int) -> NDArray[np.uint8]:
    """The colour map of PASCAL VOC's development kit, (count, 3) uint8 RGB: the bits of the index, dealt to R, G, B."""
    index = np.arange(count)
    colours = np.zeros((count, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colours


def _read_json(text: str) -> Iterable[tuple[Any, Any]]:
    return json_entries(class_facts(json.loads(text))["classes"])


def _read_csv(text: str) -> Iterable[tuple[Any, Any]]:
    rows = [
        [cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)
    ]
    if rows and not all(cell.lstrip("-").isdecimal() for cell in rows[0][1:4]):
        rows = rows[1:]
    return [(row[0], row[1:4]) for row in rows]


def _colour(values: Any) -> tuple[int, int, int]:
    channels = [int(value) for value in values]
    if len(channels) != 3 or not all(0 <= channel <= 255 for channel in channels):
        raise ValueError(f"{values} is no colour")
    return channels[0], channels[1], channels[2]


READERS: dict[str, Callable[[str], Iterable[tuple[Any, Any]]]] = {".json": _read_json, ".csv": _read_csv}
"""What turns a file's text into names and colours, by suffix."""

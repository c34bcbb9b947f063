"""Types of options that several commands have; nothing here imports more than click."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import click


class Bitrate(click.ParamType[int]):
    """Bits per second: 3000000, 750k, 2.5M."""

    name = "bitrate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """To an integer of bits per second."""
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([kKmMgG]?)", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no bitrate; give bits per second as in 750k, 2.5M or 3000000", param, ctx)
        rate = round(Fraction(match[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[match[2].lower()])
        if rate < 1000:
            self.fail(f"{value!r} is less than 1k; give bits per second as in 750k, 2.5M or 3000000", param, ctx)
        return rate


class FrameRate(click.ParamType[Fraction]):
    """Frames per second: 25, 29.97, 30000/1001."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """To a fraction."""
        try:
            rate = Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is no frame rate; give one as in 25, 29.97 or 30000/1001", param, ctx)
        if not Fraction(1, 1000) <= rate <= 1000:
            self.fail(f"{value!r} is out of range; give frames per second from 0.001 to 1000", param, ctx)
        return rate


class Names(click.ParamType[frozenset[str]]):
    """Some of the given names, with commas between."""

    name = "names"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[str]:
        """To a set."""
        if isinstance(value, frozenset):
            return value
        names = [name.strip() for name in str(value).split(",")]
        for name in names:
            if name not in self.known:
                self.fail(f"{name!r} is not one of {', '.join(self.known)}", param, ctx)
        return frozenset(names)


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers from 0, each once and in order, with commas between: 11, or 0,3,11; `name` says what they are."""

    def __init__(self, name: str = "numbers") -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """To a tuple."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdecimal() for part in parts):
            self.fail(f"{value!r} are no {self.name}; give whole numbers, as in 11 or 0,3,11", param, ctx)
        return tuple(sorted({int(part) for part in parts}))


class Size(click.ParamType[tuple[int, ...]]):
    """Whole numbers from `least` with x between, one for each letter of `form`: WxH as in 1280x720."""

    def __init__(self, form: str = "WxH", least: int = 1, example: str = "1280x720") -> None:
        self.name, self.least, self.example = form, least, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """To a tuple in the order given."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split("x")
        if len(parts) != len(self.name.split("x")) or not all(part.isdecimal() for part in parts):
            self.fail(f"{value!r} is not {self.name}, as in {self.example}", param, ctx)
        numbers = tuple(int(part) for part in parts)
        if min(numbers) < self.least:
            self.fail(f"{value!r} has a number below {self.least}; give {self.name}, as in {self.example}", param, ctx)
        return numbers

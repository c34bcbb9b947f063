"""Requests made in Python are held to the bounds of the command line."""

import dataclasses
from typing import Any

import click
import pytest

from gopseg.errors import GopsegError
from gopseg.pipelines.stream.main import build_command
from gopseg.pipelines.stream.request import CHOICES, REAL, WHOLE, InferenceRequest, StreamRequest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fps", -1),
        ("fps", float("nan")),
        ("gop", 0),
        ("gop_max", 0),
        ("gop_max", 2.5),
        ("start", -3),
        ("end", -1),
        ("timeout", 0),
        ("stream", -1),
        ("max_frames", 0),
        ("max_frames", "3"),
        ("reconnect", -1),
        ("precision", "fp9"),
        ("reencode", "x"),
        ("live", "x"),
        ("runtime", "x"),
    ],
)
def test_impossible_values_are_refused_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(
        GopsegError, match=f"--{name.replace('_', '-')} .*(unknown; take one of|impossible; give a)"
    ) as told:
        InferenceRequest(source="drive.mp4", **{name: value})
    assert told.value.exit_status == 2


@pytest.mark.parametrize(("name", "value"), [("opacity", 1.5), ("opacity", -0.1), ("labels_format", "x")])
def test_so_are_those_of_outputs(name: str, value: Any) -> None:
    with pytest.raises(GopsegError, match=f"--{name.replace('_', '-')} "):
        StreamRequest(source="drive.mp4", **{name: value})


def test_bounds_are_those_of_the_command_line() -> None:
    """Every choice and range that the command line has for a field of the request is in the tables, and the same."""
    fields = {each.name for each in dataclasses.fields(StreamRequest)}
    seen = set()
    for parameter in build_command().params:
        name, kind = str(parameter.name), parameter.type
        if name not in fields or name in ("mode", "save", "existing"):
            continue
        if isinstance(kind, click.Choice):
            assert tuple(kind.choices) == CHOICES[name]
        elif isinstance(kind, click.IntRange):
            assert kind.min == WHOLE[name]
        elif isinstance(kind, click.FloatRange):
            assert (not kind.min_open, kind.max or float("inf")) == REAL[name]
            assert kind.min == 0
        else:
            continue
        seen.add(name)
    assert seen == {*CHOICES, *WHOLE, *REAL}

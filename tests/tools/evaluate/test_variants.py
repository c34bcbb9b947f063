from dataclasses import dataclass

import pytest

from gopseg.errors import InputError
from gopseg.pipelines import MODES, BranchWeights, Mode, PerFramePipeline, StreamUsageError
from gopseg.pipelines.modes.options import LowResolution, text
from gopseg.tools.evaluate.variants import make_variants, parse_sweeps, parse_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("12", [12]),
        ("4,8,12", [4, 8, 12]),
        ("0.3..0.6", [0.3, 0.4, 0.5, 0.6]),
        ("0.3..0.5,0.75", [0.3, 0.4, 0.5, 0.75]),
        ("2..4", [2, 3, 4]),
        ("motion,dis", ["motion", "dis"]),
        ("true,1.5", [True, 1.5]),
    ],
)
def test_values(text, values):
    assert parse_values(text) == values


def test_lists_without_values_are_refused():
    with pytest.raises(InputError, match="names no value"):
        parse_values(" , ")


@dataclass(frozen=True, kw_only=True)
class ScaledOptions(LowResolution):
    source: str = text("motion", "Where from.")


SCALED = Mode(
    name="scaled",
    help="for these tests",
    options=ScaledOptions,
    weights=(BranchWeights("lr", scale="lr_scale"),),
    build=lambda runner, options: PerFramePipeline(runner),
)


@pytest.fixture
def modes(monkeypatch):
    monkeypatch.setitem(MODES, "scaled", SCALED)


def names(*arguments):
    return [variant.name for variant in make_variants(*arguments)]


def test_modes_come_once_for_each_value_of_the_options_that_they_have(modes):
    sweeps = parse_sweeps("0.3..0.4", ["source=motion,dis"])
    variants = make_variants("hr,scaled", "net", sweeps)
    assert [variant.name for variant in variants] == [
        "hr",
        "scaled 0.3 source=motion",
        "scaled 0.3 source=dis",
        "scaled 0.4 source=motion",
        "scaled 0.4 source=dis",
    ]
    assert [variant.mode for variant in variants] == ["hr", *4 * ["scaled"]]
    assert variants[0].declaration is MODES["frame"]
    assert variants[2].options == {"lr_scale": 0.3, "source": "dis"}


def test_a_scale_that_is_not_varied_is_recorded_but_not_shown(modes):
    (variant,) = make_variants("scaled", "net", {})
    assert (variant.name, variant.options) == ("scaled", {"lr_scale": 0.5})
    (variant,) = make_variants("scaled", "net", parse_sweeps("0.7", []))
    assert (variant.name, variant.options) == ("scaled", {"lr_scale": 0.7})


def test_a_mode_can_have_a_model_of_its_own(modes):
    variants = make_variants("hr,hr@runs/b.safetensors", "a", {})
    assert [(variant.name, variant.model) for variant in variants] == [
        ("hr", "a"),
        ("hr@runs/b.safetensors", "runs/b.safetensors"),
    ]


def test_values_that_cannot_be_are_refused_before_anything_runs(modes):
    with pytest.raises(StreamUsageError, match=r"--lr-scale 1\.5: is out of range"):
        make_variants("scaled", "net", parse_sweeps("1.5", []))
    with pytest.raises(InputError, match="has the option 'interval'"):
        make_variants("scaled", "net", parse_sweeps(None, ["interval=4"]))

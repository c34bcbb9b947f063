import pytest

from gopseg.pipelines import MODES, Pipeline
from gopseg.tools.console import InputError
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


class Scaled(Pipeline):
    mode = "scaled"

    def __init__(self, runner, *, lr_scale=0.5, source="motion"):
        super().__init__(runner)


@pytest.fixture
def modes(monkeypatch):
    monkeypatch.setitem(MODES, "scaled", Scaled)


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
    assert variants[0].pipeline is MODES["frame"]
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

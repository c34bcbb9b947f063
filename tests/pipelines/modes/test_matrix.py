"""Every motion source with every carrier and every refresh rule, and what is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gopseg.codec import open_video
from gopseg.pipelines import MODES, StreamUsageError, option_names
from gopseg.pipelines.modes.building import HeadModel
from gopseg.segnet import PropagationModel, PropagationSettings, save_propagation

CLASSES = ("ground", "red", "blue")
CARRIERS: dict[str, tuple[str, dict[str, Any]]] = {
    "probabilities": ("motion", {}),
    "features": ("motion", {"carry": "features"}),
    "fusion": ("ar", {}),
    "head": ("guided", {}),
}
SOURCES = ("motion", "dis", "none", "light:FILE")


@pytest.fixture(scope="module")
def flow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A propagation model with a flow network of random weights, which is near to no motion."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("flow") / "flow.safetensors"
    model = PropagationModel(PropagationSettings(classes=CLASSES, flow="light", width=8))
    for parameter in model.flow.parameters():
        torch.nn.init.normal_(parameter, std=1e-4)
    save_propagation(model, file, half=False)
    return file


@pytest.fixture(scope="module")
def frames(square_clip: Path) -> dict[bool, list[Any]]:
    """Frames as they come, and with recovered references."""
    found = {}
    for references in (False, True):
        with open_video(square_clip, references=references) as video:
            found[references] = list(video)
    return found


def truth(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] > 130).astype(np.uint8)


def seen(predictions: list[Any]) -> list[int]:
    return [p.index for p in predictions if p.from_network]


@pytest.fixture
def heads(runner: Any) -> None:
    """The same fresh head with each of the motion sources that it can have without weights."""
    for flow in ("motion", "dis", "none"):
        torch.manual_seed(0)
        settings = PropagationSettings(classes=CLASSES, stride=4, width=8, flow=flow)
        runner.adopt(HeadModel(flow=flow), PropagationModel(settings).eval())


@pytest.mark.parametrize(("carrier", "source"), list(itertools.product(CARRIERS, SOURCES)))
def test_every_carrier_along_every_motion_by_every_rule(
    carrier: str, source: str, runner: Any, heads: None, frames: Any, square_images: Any, flow_file: Path
) -> None:
    mode, options = CARRIERS[carrier]
    named = source.replace("FILE", str(flow_file))
    for interval, expected in ((None, [0, 6]), (4, [0, 4, 6, 10] if source == "motion" else [0, 4, 8])):
        given = {**options, "flow_source": named, "interval": interval, "refresh_above": 1.0}
        pipeline = MODES[mode].pipeline(runner, **given)
        assert pipeline.needs_motion == (source == "motion")
        predictions = list(pipeline.run(frames[False]))
        assert seen(predictions) == expected
        follows = source in ("motion", "dis") and carrier != "fusion"  # the branch is untrained: it says what it likes
        if follows:
            errors = [np.count_nonzero(p.labels != truth(i)) for p, i in zip(predictions, square_images, strict=True)]
            assert max(errors) < 200, (interval, errors)
    never = MODES[mode].pipeline(runner, **options, flow_source=named, refresh_above=0.0, interval=50)
    blue = np.full((64, 96, 3), (60, 60, 230), np.uint8)
    cut = [*frames[False][:4], *(replace(frame, load_image=lambda: blue) for frame in frames[False][4:6])]
    lost = seen(list(never.run(frames[False] if source == "motion" else cut)))
    assert lost[0] == 0
    assert len(lost) > 1, "with a bound of 0, one lost cell is enough"


@pytest.mark.parametrize("source", ["dis", "none"])
@pytest.mark.parametrize("recursive", [False, True])
def test_a_head_takes_the_flow_of_another_model(
    source: str, recursive: bool, runner: Any, frames: Any, flow_file: Path
) -> None:
    """Grids of both models differ: the head's cells are of 4 pixels, the flow's of 8."""
    settings = PropagationSettings(classes=CLASSES, stride=4, width=8, recursive=recursive, flow="motion")
    torch.manual_seed(0)
    runner.adopt(HeadModel(flow="motion"), PropagationModel(settings).eval())
    foreign = MODES["guided"].pipeline(runner, flow_source=f"light:{flow_file}", refresh_above=1.0)
    runner.adopt(HeadModel(flow=source), PropagationModel(settings, flow="none").eval())
    still = MODES["guided"].pipeline(runner, flow_source=source, refresh_above=1.0)
    for one, other in zip(foreign.run(frames[False]), still.run(frames[False]), strict=True):
        assert np.mean(one.labels != other.labels) < 0.02, "flow near 0 is no motion"


@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_carrier_along_recovered_references(
    carrier: str, runner: Any, make_clip: Any, square_images: Any, tmp_path: Path
) -> None:
    options = {"bf": "2", "x264-params": "b-adapt=0:scenecut=0", "crf": "10"}
    with open_video(make_clip(tmp_path / "b.mp4", square_images, options=options), references=True) as video:
        frames = list(video)
    mode, given = CARRIERS[carrier]
    for interval in (None, 5):
        predictions = list(MODES[mode].pipeline(runner, **given, interval=interval).run(frames))
        intra = [frame.index for frame in frames if frame.pict_type == "I"]
        assert set(intra) <= set(seen(predictions))
        assert (len(seen(predictions)) > len(intra)) == (interval is not None)
        if carrier != "fusion":
            errors = [np.count_nonzero(p.labels != truth(i)) for p, i in zip(predictions, square_images, strict=True)]
            assert max(errors) < 250, (interval, errors)


FOREIGN = [
    ("frame", "interval", 4),
    ("frame", "flow_source", "dis"),
    ("lr", "interval", 4),
    ("clip", "flow_source", "motion"),
    ("clip", "lr_scale", 0.5),
    ("ar", "carry", "features"),
    ("ar", "key_scale", 0.5),
    ("guided", "carry", "features"),
    ("motion", "guided_weights", "x.safetensors"),
    ("flow", "references", "fixed"),
]


@pytest.mark.parametrize(("mode", "option", "value"), FOREIGN)
def test_what_makes_no_sense_is_refused_in_a_line(mode: str, option: str, value: Any, runner: Any) -> None:
    with pytest.raises(StreamUsageError) as caught:
        MODES[mode].pipeline(runner, **{option: value})
    flag = f"--{option.replace('_', '-')}"
    text = str(caught.value)
    assert text.startswith(f"{flag}: mode {mode} has no use for it; leave it out or take --mode ")
    assert "\n" not in text
    assert any(option in option_names(MODES[name]) and name in text for name in MODES)


@pytest.mark.parametrize(
    ("mode", "given", "words"),
    [
        ("motion", {"interval": 0}, "--interval 0: is out of range; give 1 or more"),
        ("motion", {"interval": "four"}, "--interval four: is no whole number"),
        ("flow", {"carry": "hopes"}, "--carry hopes: unknown; take one of scores, features"),
        ("ar", {"lr_scale": 1}, "--lr-scale 1: is out of range; give a number between 0 and 1"),
        ("guided", {"refresh_above": 1.5}, "--refresh-above 1.5: is out of range"),
        ("motion", {"nonesuch": 1}, "--nonesuch: mode motion has no use for it; no mode has; leave it out"),
        ("motion", {"flow_source": "tea"}, "--flow-source tea: unknown; take dis, none, motion, or light:FILE"),
    ],
)
def test_values_that_cannot_be_are_refused_in_a_line(mode: str, given: Any, words: str, runner: Any) -> None:
    with pytest.raises(StreamUsageError) as caught:
        MODES[mode].pipeline(runner, **given)
    assert words in str(caught.value)

"""What modes declare: options that the command line, requests and pipelines agree on; a new mode is one module."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gopseg.errors import InputError
from gopseg.pipelines import MODES, CodecReads, Mode, Options, PerFramePipeline, Scored, StreamRequest
from gopseg.pipelines.clip import CHOICES
from gopseg.pipelines.modes.options import integer, option_specs
from gopseg.pipelines.motion import CODEC, UNTRAINED
from gopseg.pipelines.stream.main import build_command
from gopseg.segnet import CODEC_MOTION, FLOW_SOURCES


class Striped(PerFramePipeline):
    """Labels are columns of `width` cells, whatever the network says."""

    def __init__(self, runner: Any, width: int) -> None:
        super().__init__(runner)
        self.width = width

    def _segment(self, frame: Any) -> Scored:
        scores = self.runner.logits(frame.image)
        columns = np.arange(scores.shape[1]) // self.width % scores.shape[2]
        return Scored(np.broadcast_to(np.eye(scores.shape[2], dtype=np.float32)[columns], scores.shape).copy())


@dataclass(frozen=True, kw_only=True)
class StripedOptions(Options):
    stripe_width: int = integer(2, "How wide its stripes are, in cells.", low=1)


STRIPED = Mode(
    name="striped",
    help="stripes, to show how a mode is added",
    options=StripedOptions,
    build=lambda runner, options: Striped(runner, options.stripe_width),
)


def test_a_new_mode_is_a_declaration_and_a_registration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model_file: Path, square_clip: Path
) -> None:
    monkeypatch.setitem(MODES, STRIPED.name, STRIPED)
    command, call = build_command(), CliRunner().invoke
    text = " ".join(call(command, ["--help"]).output.split())
    assert "--stripe-width INTEGER RANGE Mode striped. How wide its stripes are, in cells. Default: 2. [x>=1]" in text
    assert "striped: stripes, to show how a mode is added." in text
    common = [str(square_clip), "--model", str(model_file), "--device", "cpu", "--precision", "fp32"]
    common += ["--save", "labels", "--mode", "striped", "-o", str(tmp_path / "x.mp4")]
    done = call(command, [*common, "--stripe-width", "3", "--stats", str(tmp_path / "s.json")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "s.json").read_text())["mode"] == "striped"
    refused = call(command, [*common, "--stripe-width", "3", "--interval", "4", "-y"])
    assert (refused.exit_code, "--interval: mode striped has no use for it" in refused.stderr) == (2, True)


def test_the_options_of_each_mode_are_what_resume_compares() -> None:
    request = StreamRequest(source="x.mp4", mode="ar", options={"interval": 5})
    asked = request.asked("ar", MODES["ar"].parse(request.options))
    assert {field.name for field in fields(MODES["ar"].options)} <= set(asked)
    assert (asked["interval"], asked["lr_scale"], asked["mode"]) == (5, 0.5, "ar")
    free = {"output", "existing", "quiet", "stats_file", "live", "timeout", "reconnect", "device", "options"}
    assert not free & set(asked)


def test_an_option_means_the_same_in_every_mode() -> None:
    kinds: dict[str, Any] = {}
    for mode in MODES.values():
        for name, spec, default in option_specs(mode.options):
            spec.check("", default)
            assert kinds.setdefault(name, (spec.kind, spec.help, spec.choices)) == (spec.kind, spec.help, spec.choices)


@pytest.mark.parametrize(
    ("mode", "options", "reads"),
    [
        ("frame", {}, CodecReads()),
        ("lr", {}, CodecReads()),
        ("motion", {}, CodecReads(motion=True)),
        ("motion", {"flow_source": "dis"}, CodecReads()),
        ("flow", {}, CodecReads()),
        ("flow", {"flow_source": "motion"}, CodecReads(motion=True)),
        ("ar", {}, CodecReads(motion=True)),
        ("guided", {}, CodecReads(motion=True)),
        ("guided", {"flow_source": "none"}, CodecReads()),
        ("clip", {}, CodecReads()),
        ("clip", {"references": "guided"}, CodecReads(vectors=True, qp=True)),
    ],
)
def test_what_modes_read_of_the_codec(mode: str, options: Any, reads: CodecReads) -> None:
    assert MODES[mode].reads(MODES[mode].parse(options)) == reads


def test_words_that_declarations_spell_for_themselves_are_those_of_the_heavy_modules() -> None:
    """Declarations import no torch, so they name what they cannot import."""
    assert CODEC == CODEC_MOTION
    assert set(UNTRAINED) <= set(FLOW_SOURCES)
    (spec,) = (spec for name, spec, _ in option_specs(MODES["clip"].options) if name == "references")
    assert spec.choices == tuple(CHOICES)
    for mode in MODES.values():
        assert callable(mode.builder())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from gopseg.pipelines.stream.main import main; "
        "assert CliRunner().invoke(main, ['-h']).exit_code == 0; "
        "print([name for name in ('torch', 'cv2', 'av', 'numpy', 'tqdm', 'PIL') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_options_are_shown_in_groups() -> None:
    lines = CliRunner().invoke(build_command(), ["--help"]).output.splitlines()
    headings = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "Input",
        "Network",
        "Mode",
        "Output",
        "Live",
        "Many workers",
        "Existing outputs",
        "Running",
        "Other options",
    ]


def test_nan_is_no_value_of_an_option() -> None:
    with pytest.raises(InputError, match="--key-scale nan: is out of range"):
        MODES["motion"].parse({"key_scale": float("nan")})

"""The habits that all commands share: exit statuses, one-line errors, groups of options, flags for existing outputs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import click
import pytest
from click.testing import CliRunner, Result

from gopseg.console import Existing, command, counted, existing_options, group, option
from gopseg.errors import GopsegError, InputError


def run(error: BaseException, *arguments: str) -> Result:
    @command(interrupted="half of it is there.")
    def main() -> None:
        """Do it."""
        raise error

    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (InputError("a.mp4: no such file;\n check the path"), 2, "Error: a.mp4: no such file; check the path\n"),
        (GopsegError("a.mp4: cannot be written"), 1, "Error: a.mp4: cannot be written\n"),
        (OSError(28, "No space left on device", "/x/y"), 1, "Error: /x/y: No space left on device\n"),
        (MemoryError(), 1, "out of memory"),
        (ZeroDivisionError("oh"), 1, "Error: ZeroDivisionError: oh; this is a bug in gopseg: --debug shows where"),
        (
            ModuleNotFoundError("No module named 'accelerate'", name="accelerate"),
            2,
            "Error: accelerate is not installed; install it by pip install 'gopseg[train]'\n",
        ),
        (
            ModuleNotFoundError("No module named 'cv2'", name="cv2"),
            2,
            "Error: cv2 is not installed; install it by pip install opencv-python-headless\n",
        ),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            "Error: torch is not installed; install it by pip install torch\n",
        ),
        (ModuleNotFoundError("No module named 'torch.x'", name="torch.x"), 1, "this is a bug in gopseg"),
        (
            ModuleNotFoundError("No module named 'torch.utils.tensorboard.x'", name="tensorboard.x"),
            2,
            "pip install 'gopseg[train]'",
        ),
        (
            ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
            2,
            "pip uninstall opencv-python, then pip install --force-reinstall opencv-python-headless",
        ),
        (ModuleNotFoundError("No module named 'gopseg.x'", name="gopseg.x"), 1, "this is a bug in gopseg"),
    ],
)
def test_errors_are_one_line(error: Exception, status: int, text: str) -> None:
    result = run(error)
    assert result.exit_code == status
    assert text in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    with_traceback = run(error, "--debug")
    assert with_traceback.exit_code == status
    assert "Traceback" in with_traceback.stderr
    assert with_traceback.stderr.endswith(result.stderr)


def test_ctrl_c_says_what_is_left() -> None:
    result = run(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "Interrupted: half of it is there.\n")


def test_sigterm_is_ctrl_c_and_only_while_the_command_runs() -> None:
    @command(interrupted="nothing is left.")
    def main() -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        time.sleep(30)

    before = signal.getsignal(signal.SIGTERM)
    result = CliRunner().invoke(main)
    assert (result.exit_code, result.stderr) == (130, "Interrupted: nothing is left.\n")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("arguments", "existing"),
    [([], "REFUSE"), (["-y"], "REPLACE"), (["-n"], "KEEP"), (["--resume"], "RESUME"), (["-y", "-y"], "REPLACE")],
)
def test_existing_outputs(arguments: list[str], existing: str) -> None:
    result = CliRunner().invoke(writes, arguments)
    assert (result.exit_code, result.output) == (0, f"{existing}\n")


@command()
@option("--share", type=click.FloatRange(0, 1))
@option("--pair", type=float, nargs=2)
def measures(share: float | None, pair: tuple[float, float] | None) -> None:
    click.echo(f"{share} {pair}")


@pytest.mark.parametrize("arguments", [("--share", "nan"), ("--pair", "1", "nan")])
def test_nan_is_in_no_range(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(measures, arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: Invalid value for '{arguments[0]}': nan is no number"
    assert CliRunner().invoke(measures, ["--share", "1", "--pair", "0", "1"]).output == "1.0 (0.0, 1.0)\n"


@pytest.mark.parametrize("flags", [("-y", "-n"), ("-n", "-y"), ("-y", "--resume"), ("--resume", "-n")])
def test_flags_that_contradict_each_other_are_refused(flags: tuple[str, str]) -> None:
    result = CliRunner().invoke(writes, flags)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"Error: {flags[0]} and {flags[1]} contradict each other; give one of them"
    )


@command()
@option("--bits", group="Bits", help="How many.")
@existing_options(resume="Go on.")
@option("--speed", help="How fast.")
def writes(bits: str | None, speed: str | None, existing: Existing) -> None:
    """Write something."""
    click.echo(existing.name)


def test_options_stand_under_their_headings() -> None:
    text = CliRunner().invoke(writes, ["-h"]).output
    headings = ["Bits:", "Existing outputs:", "Options:", "Other options:"]
    assert [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")] == headings
    assert text.index("--speed") < text.index("--debug") < text.index("--version") < text.index("-h, --help")


def test_a_group_imports_a_command_when_it_is_called() -> None:
    @group(lazy={"gone": ("gopseg.no_such_module:main", "Is not there."), "other": ("gopseg.errors:x", "Nor this.")})
    def main() -> None:
        """Several."""

    listed = CliRunner().invoke(main, ["-h"])
    assert listed.exit_code == 0
    assert "Is not there." in listed.output
    result = CliRunner().invoke(main, ["gone"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "no_such_module" in result.stderr
    assert CliRunner().invoke(main, ["--debug", "gone"]).stderr.startswith("Traceback")


def test_debug_before_the_command_counts_too() -> None:
    code = "from gopseg.__main__ import main; main()"
    call = [sys.executable, "-c", code, "--debug", "preprocess", "inspect", "/no/such.mp4"]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "Error: /no/such.mp4: no such file" in done.stderr.splitlines()[-1]


def test_a_default_that_cannot_be_had_is_one_line() -> None:
    def default() -> str:
        raise InputError("GOPSEG_X 'y': unknown; take z")

    @command()
    @option("--x", default=default)
    def main(x: str) -> None:
        """Do it."""

    result = CliRunner().invoke(main, [])
    assert (result.exit_code, result.stderr) == (2, "Error: GOPSEG_X 'y': unknown; take z\n")


def test_what_is_counted() -> None:
    assert (counted(1, "frame"), counted(0, "part"), counted(12, "frame")) == ("1 frame", "0 parts", "12 frames")

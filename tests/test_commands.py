"""Every command: `-h`, `--version` and `--debug` are there, and its help loads nothing that is heavy or optional."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

from gopseg.__main__ import main
from gopseg.console import Group

ROOT = Path(__file__).resolve().parents[1]
BLOCKED = (
    "accelerate",
    "av",
    "cv2",
    "ffmpeg",
    "matplotlib",
    "mvextractor",
    "ray",
    "scipy",
    "skimage",
    "tensorboard",
    "torch",
    "transformers",
)
"""What help must not load: some take seconds, the others are extras."""


def walk(name: str, location: str) -> Iterator[tuple[str, str]]:
    """A command and, below a group, all its commands: names with spaces between, and where each lies."""
    yield name, location
    module, _, attribute = location.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError:
        return
    if isinstance(found, Group):
        for sub, (where, _) in found.lazy.items():
            yield from walk(f"{name} {sub}".strip(), where)


COMMANDS = dict(walk("", "gopseg.__main__:main"))

HELP_OF_ALL = """
import importlib, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("blocked: " + name, name=name)
sys.meta_path.insert(0, Blocked())
from click.testing import CliRunner
for location in {locations!r}:
    module, _, attribute = location.partition(":")
    try:
        command = getattr(importlib.import_module(module), attribute)
        done = CliRunner().invoke(command, ["-h"])
        print(location, done.exit_code, len(done.output), flush=True)
    except ImportError as error:
        print(location, error, flush=True)
"""


@pytest.fixture(scope="module")
def helped() -> dict[str, str]:
    """Of every command the exit status and length of its help, or the import that it asked for in vain."""
    code = HELP_OF_ALL.format(blocked=BLOCKED, locations=sorted(set(COMMANDS.values())))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_loads_nothing_heavy(name: str, helped: dict[str, str]) -> None:
    status, _, length = helped[COMMANDS[name]].partition(" ")
    assert status == "0", helped[COMMANDS[name]]
    assert int(length) > 100


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_habits(name: str) -> None:
    module, _, attribute = COMMANDS[name].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    context = click.Context(command, **command.context_settings)
    flags = {flag for parameter in command.get_params(context) for flag in getattr(parameter, "opts", [])}
    assert {"-h", "--help", "--version", "--debug"} <= flags
    undocumented = [
        parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help and not parameter.hidden
    ]
    assert not undocumented
    assert "-y" not in flags or "existing" in command.callback.__code__.co_varnames


@pytest.mark.parametrize("name", COMMANDS)
def test_usage_has_the_real_name(name: str) -> None:
    """A function's name, such as main, is none that a user can type."""
    scripts = {location: script for script, location in installed_scripts().items()}
    module, _, attribute = COMMANDS[name].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert command.name in (scripts.get(COMMANDS[name]), name.rpartition(" ")[2] or "gopseg")


def installed_scripts() -> dict[str, str]:
    """Where the command of each console script lies."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return dict(line.split(" = ") for line in setup["options.entry_points"]["console_scripts"].strip().splitlines())


def test_the_groups_know_their_commands() -> None:
    assert len(COMMANDS) >= 25
    for name, location in COMMANDS.items():
        module, _, attribute = location.partition(":")
        assert isinstance(getattr(importlib.import_module(module), attribute), click.Command), name


def test_scripts_are_commands_of_the_group() -> None:
    """Every console script but `gopseg` itself can also be called as `gopseg ...`."""
    scripts = installed_scripts()
    groups = {"benchmark-segnet": "gopseg.tools.benchmark.main:segnet"}
    for script, location in scripts.items():
        assert groups.get(script, location) == location
        assert script in groups or location in COMMANDS.values(), script


def test_version_and_unknown_commands() -> None:
    from click.testing import CliRunner

    import gopseg

    for arguments in (["--version"], ["preprocess", "--version"], ["preprocess", "encode", "--version"]):
        done = CliRunner().invoke(main, arguments)
        assert (done.exit_code, done.output) == (0, f"gopseg {gopseg.__version__}\n")
    assert CliRunner().invoke(main, ["segmnt"]).exit_code == 2

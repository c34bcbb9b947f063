"""What all commands share: `-h`, `--version`, `--debug`, options in groups, lazy subcommands, one-line errors.

`command` and `group` are click's, with these habits. A known error (`GopsegError`) ends in one line on standard error
and its own exit status; so does a package that is not installed, with the extra that brings it. Ctrl-C and SIGTERM end
in status 130 after saying what is left; any other error asks to be reported. With `--debug` the traceback is shown
as well. Nothing here imports more than click, so that help is quick.
"""

from __future__ import annotations

import importlib
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, NoReturn, TypeVar

import click

from .errors import GopsegError
from .packages import known_error

F = TypeVar("F", bound=Callable[..., Any])
INTERRUPTED = 130
OTHER = "Other options"
"""The heading of `--debug`, `--version` and `-h`."""
_DEBUG = "gopseg.debug"
_EXISTING = "gopseg.existing"
_OUT_OF_MEMORY = ("OutOfMemoryError", "MemoryError")


class Option(click.Option):
    """An option that `--help` shows under the heading `group`."""

    def __init__(self, *args: Any, group: str = "Options", **kwargs: Any) -> None:
        self.group = group
        super().__init__(*args, **kwargs)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """As click's, but nan, which passes every check of a range, is refused."""
        cast = super().type_cast_value(ctx, value)
        if any(isinstance(each, float) and each != each for each in (cast if isinstance(cast, tuple) else (cast,))):
            raise click.BadParameter("nan is no number", ctx=ctx, param=self)
        return cast


def option(*declarations: str, group: str = "Options", **attributes: Any) -> Callable[[F], F]:
    """click's `option`, shown under a heading."""
    return click.option(*declarations, cls=Option, group=group, **attributes)


class Command(click.Command):
    """A command with `-h`, `--version` and `--debug`, whose errors are one line.

    `interrupted` is what to say after Ctrl-C, such as how to continue.
    """

    def __init__(self, *args: Any, interrupted: str = "stopped.", **kwargs: Any) -> None:
        super().__init__(*args, **_with_habits(kwargs))
        self.interrupted = interrupted
        self.params += [_debug_option(), _version_option()]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options under their headings, in the order in which the headings first come."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and not isinstance(parameter, click.Argument):
                groups.setdefault(getattr(parameter, "group", OTHER), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """As click's; a known error, as of a default that the environment sets, is one line, too."""
        with _errors_of_usage():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and turn errors into one line and an exit status."""
        with _errors_in_a_line(ctx, self.interrupted):
            return super().invoke(ctx)


@contextmanager
def _errors_of_usage() -> Iterator[None]:
    try:
        yield
    except GopsegError as error:
        click.echo(f"Error: {describe(error)}", err=True)
        raise click.exceptions.Exit(error.exit_status) from error


@contextmanager
def _errors_in_a_line(ctx: click.Context, interrupted: str) -> Iterator[None]:
    try:
        with terminated_as_interrupted():
            yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        click.echo(f"Interrupted: {interrupted}", err=True)
        ctx.exit(INTERRUPTED)
    except Exception as error:
        end(ctx, error)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Have SIGTERM end the work as Ctrl-C does, with nothing half-written left."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there signals are handled
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end(ctx: click.Context, error: Exception) -> NoReturn:
    """Say what went wrong in one line and end with the error's exit status."""
    if is_debugging(ctx):
        traceback.print_exception(error)
    known = known_error(error)
    click.echo(f"Error: {describe(known)}", err=True)
    ctx.exit(known.exit_status if isinstance(known, GopsegError) else 1)


def describe(error: BaseException) -> str:
    """An error as one line, with its notes; one that is not ours with its type and what to do about it."""
    return "; ".join([_described(error), *getattr(error, "__notes__", ())])


def _described(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, GopsegError):
        return text
    name = type(error).__name__
    if name in _OUT_OF_MEMORY:
        return f"out of memory ({text.split('. ')[0]}); take a smaller model, picture or batch, or another --device"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return f"{name}: {text}; this is a bug in gopseg: --debug shows where, please report it"


def counted(count: int, noun: str) -> str:
    """A number and what it counts, such as "1 frame" and "2 frames"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def is_debugging(ctx: click.Context | None = None) -> bool:
    """Whether the running command was given `--debug`."""
    ctx = ctx or click.get_current_context(silent=True)
    return bool(ctx is not None and ctx.meta.get(_DEBUG))


def command(name: str | None = None, *, interrupted: str = "stopped.", **attributes: Any) -> Callable[[F], Command]:
    """A decorator: the function as a `Command`."""
    return click.command(name, cls=Command, interrupted=interrupted, **attributes)


class Group(click.Group):
    """Subcommands by name, each `("package.module:attribute", "one line of help")`; imported only when called.

    Module names are absolute.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **_with_habits(kwargs))
        self.lazy = dict(lazy or {})
        self.params += [_debug_option(), _version_option()]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; an error of its import is one line, too."""
        with _errors_in_a_line(ctx, "stopped."):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order given."""
        return [*self.lazy, *(name for name in super().list_commands(ctx) if name not in self.lazy)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and lines, without importing anything."""
        rows = []
        for name in self.list_commands(ctx):
            if name in self.lazy:
                rows.append((name, self.lazy[name][1]))
            elif (found := super().get_command(ctx, name)) is not None and not found.hidden:
                rows.append((name, found.get_short_help_str(80)))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def group(
    name: str | None = None, *, lazy: Mapping[str, tuple[str, str]] | None = None, **attributes: Any
) -> Callable[[F], Group]:
    """A decorator: the function as a `Group`."""
    return click.group(name, cls=Group, lazy=lazy, **attributes)


class Existing(Enum):
    """What to do about outputs that exist."""

    REFUSE = "refuse"
    REPLACE = "replace"
    KEEP = "keep"
    RESUME = "resume"


def existing_options(*, keep: bool = True, resume: str | None = None) -> Callable[[F], F]:
    """`-y`, `-n` (unless `keep` is false) and, with its help in `resume`, `--resume`; two of them are refused.

    The command gets `existing`, an `Existing`.
    """
    options = [_existing("-y", Existing.REPLACE, "Replace existing outputs.")]
    if keep:
        options.append(_existing("-n", Existing.KEEP, "Keep existing outputs, make the others."))
    if resume is not None:
        options.append(_existing("--resume", Existing.RESUME, resume))
    return add_options(options)


def _existing(flag: str, value: Existing, text: str) -> Callable[[F], F]:
    def choose(ctx: click.Context, _parameter: click.Parameter, given: bool) -> None:
        chosen: tuple[str, Existing] | None = ctx.meta.get(_EXISTING)
        if given and chosen is not None and chosen[1] is not value:
            raise click.UsageError(f"{chosen[0]} and {flag} contradict each other; give one of them")
        if given:
            ctx.meta[_EXISTING] = flag, value
        ctx.params["existing"] = ctx.meta[_EXISTING][1] if _EXISTING in ctx.meta else Existing.REFUSE

    return option(flag, is_flag=True, expose_value=False, callback=choose, group="Existing outputs", help=text)


def add_options(options: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    """A decorator: several options, the first on top in the help."""

    def add(function: F) -> F:
        for each in reversed(options):
            function = each(function)
        return function

    return add


def _with_habits(attributes: dict[str, Any]) -> dict[str, Any]:
    settings = {"help_option_names": ["-h", "--help"], **attributes.pop("context_settings", {})}
    return {**attributes, "context_settings": settings}


def _debug_option() -> click.Option:
    def remember(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        ctx.meta[_DEBUG] = ctx.meta.get(_DEBUG) or value

    return _habit("--debug", remember, "Show the traceback of an error.")


def _version_option() -> click.Option:
    def show(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(f"gopseg {importlib.import_module(__package__).__version__}")
            ctx.exit()

    return _habit("--version", show, "Show the version.")


def _habit(flag: str, callback: Callable[[click.Context, click.Parameter, bool], None], text: str) -> Option:
    """An eager flag under the heading of what every command has."""
    return Option([flag], is_flag=True, expose_value=False, is_eager=True, callback=callback, group=OTHER, help=text)

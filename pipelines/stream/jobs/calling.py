"""What one call of `segment-stream` comes to: one source as it always was, or many sources and workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from ....console import Existing
from ....files import not_left_empty
from ...errors import StreamUsageError
from ...inputs import is_live
from ..request import StreamRequest
from .batch import Places, segment_many
from .sources import find_sources, requests_for


def label(
    arguments: Sequence[str], request_for: Callable[[str], StreamRequest], jobs: int | None, ray: str | None
) -> bool:
    """Do what the command line asks for; whether it was interrupted.

    Raises what `segment_stream` and `segment_many` raise, and the error of a source that failed alone; ends the command
    with status 1 or 2 where some of several failed.
    """
    given = find_sources(arguments)
    template = request_for(given.sources[0])
    for note in () if template.quiet else given.notes:
        sys.stderr.write(f"{note}\n")
    is_live_call = is_live(given.sources[0])
    if is_live_call and (jobs is not None or ray is not None):
        raise StreamUsageError(f"--{'jobs' if ray is None else 'ray'}: live sources share one process; leave it out")
    if not given.are_many and (is_live_call or not _is_shared(template, jobs, ray)):
        return _label_one(template)
    with not_left_empty(template.output if given.are_many else None):
        requests = requests_for(given, template) if given.are_many else [replace(template, stats_file=None)]
        if is_live_call:
            from .live import segment_live

            summary = segment_live(requests, stats_file=template.stats_file)
        else:
            summary = segment_many(requests, Places(jobs, ray), stats_file=template.stats_file)
    if len(requests) == 1 and summary.failures:
        raise summary.failures[0].error
    for line in summary.lines() if len(requests) > 1 else ():
        sys.stderr.write(f"{line}\n")
    if summary.failures and not summary.interrupted:
        sys.exit(summary.exit_status)
    return summary.interrupted


def _is_shared(request: StreamRequest, jobs: int | None, ray: str | None) -> bool:
    """Whether workers share a source, or shared it in a run that is to go on."""
    goes_on = request.existing is Existing.RESUME and request.parts.is_dir()
    return (jobs or 1) > 1 or ray is not None or goes_on


def _label_one(request: StreamRequest) -> bool:
    from ..breaking import broken_off
    from ..running import segment_stream

    outcome = segment_stream(request)
    if outcome.broken is not None:
        raise broken_off(outcome.broken, goes_on=not is_live(request.source))
    return outcome.interrupted

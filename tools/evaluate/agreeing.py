"""`agree`: modes against the per-frame network on videos that nobody has labelled, from the files to the report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import av
import click
import torch
from tqdm import tqdm

from ... import __version__
from ...codec import CompressedVideo, EncodeSettings, Frame, open_video, pictures_of_video, transcode
from ...errors import InputError
from ...pipelines import AUTO, MODES
from ...segnet import load_network
from ..provenance import hardware, sha256, weights_sha256
from ..report import agreement_text, bitrate_tag, report_errors, write_agreement
from .measuring import Absent, Agreement, ModeAgreement, SharedRunner
from .models import branch_files
from .request import parse_gops
from .variants import Variant, make_variants, parse_sweeps

DEFAULT_GOP, DEFAULT_BITRATE = "12", 3_000_000


@dataclass(frozen=True)
class Reading:
    """What all modes together need of the codec; see `CodecReads`. Modes share the frames, so each sees all of it."""

    motion: bool
    qp: bool
    references: bool

    @classmethod
    def of(cls, variants: Sequence[Variant]) -> Reading:
        """What the variants read; motion always, since flicker follows it."""
        reads = [variant.reads for variant in variants]
        return cls(True, any(each.qp for each in reads), any(each.motion for each in reads))

    @contextmanager
    def open(self, video: Path, count: int | None) -> Iterator[tuple[CompressedVideo, Iterator[Frame]]]:
        """The video, and its first `count` frames."""
        with open_video(video, motion=self.motion, qp=self.qp, references=self.references) as opened:
            yield opened, islice(opened, count)

    def frames(self, video: Path, count: int | None) -> Iterator[Frame]:
        """The first `count` frames of a video that is closed when they are through."""
        with self.open(video, count) as (_, frames):
            yield from frames


def agree(
    *,
    videos: Sequence[Path],
    output: Path | None,
    model: str,
    modes: str,
    lr_scales: str | None,
    sweep: tuple[str, ...],
    gop: str | None,
    bitrate: Sequence[int] | None,
    max_frames: int | None,
    device: str,
    precision: Any,
    runtime: Any,
    cache: Path | None,
    absent: Sequence[str] = (),
) -> None:
    """Do what the command's options ask for: figures on standard output, and the report in `output`.

    Videos are read as they are, or, with `gop` or `bitrate`, encoded anew, once for each pair of them.
    """
    variants = make_variants(modes, model, parse_sweeps(lr_scales, sweep))
    reading = Reading.of(variants)
    encodings = _encodings(gop, bitrate)
    for video in videos:
        check_video(video, reading if encodings == [None] else Reading(motion=False, qp=False, references=False))
    runners = load_runners(model, variants, device, precision, runtime, cache)
    not_shown = [Absent.parse(text, runners[model].classes) for text in absent]
    records: list[dict[str, Any]] = []
    streams: list[dict[str, Any]] = []
    with tqdm(unit="frame", disable=None) as bar:
        for name, video in zip(_names(videos), videos, strict=True):
            for encoding in encodings:
                stream = {"video": name, "stream": "as it is" if encoding is None else _words(encoding)}
                bar.set_description(f"{name} {stream['stream']}")
                agreement = Agreement(variants, runners, model, not_shown)
                with encoded(video, encoding, max_frames) as file:
                    compare(agreement, file, reading, max_frames, bar.update)
                    peers = compare_peers(agreement, runners, model, file, reading, max_frames)
                if not agreement.frames:
                    raise InputError(f"'{video}' has no frame that can be decoded; check that the file is whole")
                flicker = agreement.flicker.compute()
                own = {"network_flicker": flicker, "network_false_alarms": agreement.false_alarms.compute()}
                streams.append(stream | {"frames": agreement.frames} | own)
                made = [
                    stream | result.record(agreement.reference_gflops, flicker["share"])
                    for result in (*agreement.results, *peers)
                ]
                bar.clear()
                click.echo(agreement_text(made, streams[-1:], model))
                records += made
    if output is not None:
        settings = {
            "videos": [str(video) for video in videos],
            "max_frames": max_frames,
            "absent": {one.name: one.pixels for one in not_shown},
            "classes": list(runners[model].classes),
            "precision": {name: runner.precision for name, runner in runners.items()},
            "runtime": {name: runner.runtime for name, runner in runners.items()},
            "weights_sha256": {
                **{name: weights_sha256(runner.network) for name, runner in runners.items()},
                **{file.stem: sha256(file.read_bytes()) for file in branch_files(variants, runners)},
            },
            "versions": {"gopseg": __version__, "torch": torch.__version__, "av": av.__version__},
            "hardware": hardware(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        }
        with report_errors(output):
            write_agreement(output, records, streams, model, settings)


def check_video(video: Path, reading: Reading) -> None:
    """InputError where the video cannot be read, or a mode needs motion to earlier frames and the video's codec gives
    none that can be used."""
    with reading.open(video, 1) as (opened, frames):
        next(frames, None)
        absence = opened.motion_absence
    if reading.references and absence is not None and not absence.is_recoverable:
        raise InputError(
            f"'{video}': {absence.value}; give --gop or --bitrate, to encode it anew, or modes that need no motion"
        )


def load_runners(
    model: str, variants: Sequence[Variant], device: str, precision: Any, runtime: Any, cache: Path | None
) -> dict[str, SharedRunner]:
    """A runner for the reference and each other model; InputError where one has other classes than the reference."""
    runners = {
        name: SharedRunner(load_network(name), device=device, precision=precision, runtime=runtime, cache=cache)
        for name in dict.fromkeys([model, *(variant.model for variant in variants)])
    }
    for name, runner in runners.items():
        if tuple(runner.classes) != tuple(runners[model].classes):
            raise InputError(f"'{name}' has other classes than the reference '{model}'; compare models of the same")
    return runners


def compare(
    agreement: Agreement, video: Path, reading: Reading, count: int | None, on_frame: Callable[[], object]
) -> None:
    """Count operations on the video's first frames, then compare all of them, or the first `count`."""
    agreement.count_operations(lambda: reading.frames(video, count))
    with reading.open(video, count) as (_, frames):
        agreement.run(frames, on_frame)


def compare_peers(
    agreement: Agreement,
    runners: dict[str, SharedRunner],
    model: str,
    video: Path,
    reading: Reading,
    count: int | None,
) -> list[ModeAgreement]:
    """For every variant of mode auto a peer that sees frames at a fixed interval, at the same cost or a little more."""
    results = [result for result in agreement.results if result.variant.mode == AUTO and result.network_frames.any()]
    if not results:
        return []
    peers = Agreement([peer_of(result) for result in results], runners, model, agreement.false_alarms.absent)
    peers.count_operations(lambda: reading.frames(video, count))
    with reading.open(video, count) as (_, frames):
        peers.run(frames, known_labels=agreement.labels)
    return peers.results


def peer_of(result: ModeAgreement) -> Variant:
    """Mode motion with the network at every n-th frame, n the interval at which it costs what `result` did, rounded
    down."""
    interval = max(1, int(result.frames.sum()) // int(result.network_frames.sum()))
    name = result.variant.name.replace(AUTO, "motion, equal cost", 1)
    options = {"interval": interval, "refresh_above": 1.0}
    return Variant(name, "motion", MODES["motion"], result.variant.model, options)


@contextmanager
def encoded(video: Path, settings: EncodeSettings | None, count: int | None) -> Iterator[Path]:
    """The video's file itself, or, with settings, one for the moment that holds its first `count` frames anew."""
    if settings is None:
        yield video
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "encoded.mp4"
        pictures = pictures_of_video(video)
        transcode(replace(pictures, frames=islice(pictures.frames, count)), file, settings)
        yield file


def _encodings(gop: str | None, bitrates: Sequence[int] | None) -> list[EncodeSettings | None]:
    if gop is None and not bitrates:
        return [None]
    return [
        EncodeSettings(gop=length, bitrate_bps=rate)
        for length in parse_gops(gop or DEFAULT_GOP)
        for rate in bitrates or [DEFAULT_BITRATE]
    ]


def _words(settings: EncodeSettings) -> str:
    assert settings.bitrate_bps is not None
    return f"GOP {settings.gop}, {bitrate_tag(settings.bitrate_bps)}"


def _names(videos: Sequence[Path]) -> list[str]:
    """The files' names; with their folders where a name comes twice."""
    names = [video.name for video in videos]
    return [name if names.count(name) == 1 else str(video) for name, video in zip(names, videos, strict=True)]

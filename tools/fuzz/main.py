"""`fuzz-codec`: damaged videos by the thousand through the codec front end, in processes that may die."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import click

from ...console import Existing, command, existing_options, option
from ...errors import InputError
from ...files import whole_file

FINDINGS = ("exception", "crash", "hang", "memory")
"""What must not happen."""


@command("fuzz-codec", interrupted="inputs that went wrong so far are in the output folder, without a summary.")
@option("--count", type=click.IntRange(1), default=20_000, show_default=True, help="Number of inputs.")
@option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed of all inputs.")
@option("--first", type=click.IntRange(0), default=0, show_default=True, help="Number of the first input.")
@option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@option("--timeout", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Seconds for an input.")
@option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for findings.")
@existing_options()
def main(count: int, seed: int, first: int, jobs: int, timeout: float, output: Path, existing: Existing) -> None:
    """Read COUNT damaged H.264 videos (raw, MP4, MPEG-TS, Matroska) in every way, and keep the inputs that fail.

    Bits are flipped; packets are cut, dropped, duplicated, swapped or followed by those of another video; headers and
    MP4 boxes are changed. The same seed and number always give the same input. Its frames are read, their motion is
    composed to keyframes, and references are recovered. Frames or one of gopseg's own errors are fine; another
    exception, a crash, more than --timeout seconds or more than 1 GiB of memory is a finding. Each such input is saved
    in the output folder, with a report, and the exit status is then 1. A summary is printed and saved in summary.json.
    """
    from tqdm import tqdm

    from .inputs import fuzz_input
    from .pool import Pool

    summary = output / "summary.json"
    if summary.exists() and existing is Existing.KEEP:
        click.echo(f"{summary}: is there already and is kept.", err=True)
        return
    if summary.exists() and existing is Existing.REFUSE:
        raise InputError(f"{summary}: exists; give -y to replace it, or another folder by -o")
    output.mkdir(parents=True, exist_ok=True)
    results = Counter[tuple[str, str]]()
    frames = corrupt = 0
    begin = time.perf_counter()
    found = []
    pool = Pool(seed, jobs, timeout)
    try:
        for result in tqdm(pool.run(range(first, first + count)), total=count, unit="input", disable=None, leave=False):
            made = fuzz_input(seed, result.number)
            results.update((operation, result.status) for operation in (*set(made.operations), "all"))
            frames, corrupt = frames + result.frames, corrupt + result.corrupt
            if result.status in FINDINGS:
                found.append(result.number)
                name = output / f"{seed}-{result.number}"
                name.with_suffix(".bin").write_bytes(made.data)
                about = f"{result.status}: {made.clip}, {made.container}, {', '.join(made.operations)}\n{result.text}\n"
                name.with_suffix(".txt").write_text(about)
    finally:
        pool.close()
    seconds = time.perf_counter() - begin
    report = {
        "seed": seed,
        "first": first,
        "count": count,
        "seconds": round(seconds, 1),
        "frames": frames,
        "corrupt_frames": corrupt,
        "findings": sorted(found),
        "outcomes": {f"{operation}/{status}": number for (operation, status), number in sorted(results.items())},
    }
    with whole_file(summary) as part:
        part.write_text(json.dumps(report, indent=2) + "\n")
    click.echo(_table(results))
    click.echo(
        f"{count} inputs of seed {seed} in {seconds:.0f} s: {frames} frames, {corrupt} marked as corrupt, "
        f"{len(found)} findings{f' in {output}' if found else ''}"
    )
    if found:
        click.get_current_context().exit(1)


def _table(results: Counter[tuple[str, str]]) -> str:
    columns = ("decoded", "refused", *FINDINGS)
    lines = ["operation " + "".join(f"{name:>10}" for name in columns)]
    for operation in [*sorted({operation for operation, _ in results} - {"all"}), "all"]:
        lines.append(f"{operation:10}" + "".join(f"{results[operation, name]:10}" for name in columns))
    return "\n".join(lines)

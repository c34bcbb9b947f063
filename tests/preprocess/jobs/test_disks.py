"""Disks that are full or read-only, folders of others, long names: one line, and nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.preprocess.conftest import run_command
from tests.preprocess.stills.test_stills import write_scene

KINDS = ("encode", "extract", "inspect", "stills", "street", "clips")
NOBODY = 65534


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mount.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def sources(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sources")
    make.folder(root / "noise", [make.moving(1, seed=seed)[0] for seed in range(12)])
    write_scene(root, "still", 1)
    write_scene(root / "camvid", "0016E5_07959", 1)
    (root / "camvid" / "images").rename(root / "camvid" / "val")
    (root / "camvid" / "labels").rename(root / "camvid" / "valannot")
    return root


@pytest.fixture
def words(sources: Path, corpus_video: Path) -> Callable[[str, Path], list[object]]:
    """The command of a kind, with outputs in a folder."""

    def command(kind: str, out: Path) -> list[object]:
        fast = ("--preset", "ultrafast", "--bitrate", "8M")
        return {
            "encode": ["encode", sources / "noise", "-o", out, *fast],
            "extract": ["extract", corpus_video, "-o", out / "a.npz"],
            "inspect": ["inspect", corpus_video, "--plot", out / "a.png"],
            "stills": ["stills", sources / "images", sources / "labels", "-o", out, "--gop", 4, *fast],
            "street": ["street", "-o", out, "--count", 1, "--gop", 3, "--size", 64, 96, *fast],
            "clips": ["clips", "--root", sources / "camvid", "-o", out, "--gop", 1, *fast],
        }[kind]

    return command


def one_line(result: Result, *parts: str) -> None:
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in errors[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk(words: Callable[[str, Path], list[object]], kind: str, tmp_path: Path) -> None:
    if kind == "inspect":
        pytest.importorskip("matplotlib", reason="the extra report is not installed")
    with mounted(tmp_path / "disk", "size=12k") as disk:
        result = run_command(*words(kind, disk))
        assert result.exit_code == 1, result.stderr
        one_line(result, str(disk), "No space left on device")
        left = [path for path in disk.rglob("*") if path.is_file()]
        if kind == "clips":  # which has small files, too: labels, and the index of no clip
            assert json.loads((disk / "index.json").read_text())["clips"] == []
            assert {path.suffix for path in left} == {".json", ".png"}
            assert not [path for path in left if path.name.startswith(".")]
        else:
            assert left == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_only_disk(words: Callable[[str, Path], list[object]], kind: str, tmp_path: Path) -> None:
    if kind == "inspect":
        pytest.importorskip("matplotlib", reason="the extra report is not installed")
    with mounted(tmp_path / "disk", "ro") as disk:
        result = run_command(*words(kind, disk))
        assert result.exit_code == 2, result.stderr
        one_line(result, str(disk), "is on a disk that is mounted read-only")
        assert not list(disk.iterdir())


def as_somebody_else(*arguments: object) -> tuple[int, str]:
    """Exit status and standard error of a command, run in a fork without root's rights (whose Python others may not
    read: everything is imported by then)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            result = run_command(*arguments)
            os.write(writing, json.dumps([result.exit_code, result.stderr]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    os.waitpid(child, 0)
    return tuple(json.loads(said))


@pytest.mark.skipif(sys.platform == "win32", reason="no users to change to")
def test_a_folder_of_somebody_else(make: Any) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # pytest's own folders are closed to others
        root = Path(name)
        root.chmod(0o755)
        source = make.video(root / "walk.mp4", make.moving(5))
        assert run_command("encode", source, "-o", root / "mine").exit_code == 0
        (root / "free").mkdir()
        (root / "free").chmod(0o777)
        assert as_somebody_else("encode", source, "-o", root / "free")[0] == 0
        (root / "out").mkdir(mode=0o755)
        status, said = as_somebody_else("encode", source, "-o", root / "out")
        assert status == 2
        assert said == (
            f"Error: {root / 'out'}: no permission to write there; change its mode, or give another folder by -o\n"
        )
        assert not list((root / "out").iterdir())


def test_names_as_long_as_they_can_be(make: Any, tmp_path: Path) -> None:
    stem = "n" * 246
    source = make.video(tmp_path / f"{stem}.mkv", make.moving(5))
    assert run_command("encode", source, "-o", tmp_path / "out").exit_code == 0
    file = tmp_path / "npz" / f"{stem}.npz"
    assert run_command("extract", tmp_path / "out" / f"{stem}.mp4", "-o", file).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{stem}.json", f"{stem}.mp4"]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("kind", ["encode", "extract"])
def test_names_that_are_too_long(make: Any, corpus_video: Path, kind: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if kind == "encode":  # the video's name is 255 long, and the sidecar's one longer
        source = make.video(tmp_path / f"{'n' * 251}.mkv", make.moving(5))
        result = run_command("encode", source, "-o", out)
    else:
        result = run_command("extract", corpus_video, "-o", out / f"{'n' * 252}.npz")
    assert result.exit_code in (1, 2)
    one_line(result, "File name too long")
    assert not out.exists() or not list(out.iterdir())

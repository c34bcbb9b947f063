"""Whole files: their hidden parts, what killed runs leave, and runs that write the same names at the same time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gopseg import files
from gopseg.errors import InputError
from gopseg.files import (
    TargetExistsError,
    abandoned_parts,
    append_line,
    hidden_beside,
    part_of,
    publish,
    publish_together,
    refuse_long_names,
    refuse_taken,
    remove_abandoned,
    whole_file,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with whole_file(target) as part:
        part.write_text("new")
        assert not target.exists()
        assert part.parent == tmp_path
        assert part.suffix == ".json"
        assert part.name.startswith(".")
    assert (names(tmp_path), target.read_text()) == (["a.json"], "new")


def fails(target: Path) -> None:
    with whole_file(target) as part:
        part.write_text("half")
        raise RuntimeError


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(RuntimeError):
        fails(tmp_path / "a.json")
    assert (names(tmp_path), (tmp_path / "a.json").read_text()) == (["a.json"], "old")


def test_errors_of_the_disk_name_the_file(tmp_path: Path) -> None:
    def fill(target: Path) -> None:
        with whole_file(target), open("/dev/full", "w") as full:
            full.write("x")

    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"):
        fill(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError, match=r"'.*b\.json'"), whole_file(tmp_path / "b.json") as part:
        part.read_text()
    assert names(tmp_path) == []


@pytest.mark.parametrize("has_links", [True, False])
def test_what_appears_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    if not has_links:
        monkeypatch.setattr(files.os, "link", no_links)
    target = tmp_path / "a.txt"
    part = part_of(target)
    part.write_text("mine")
    target.write_text("theirs")
    with pytest.raises(TargetExistsError, match=r"a\.txt: appeared while it was being written, by another run"):
        publish(part, target, replace=False)
    assert target.read_text() == "theirs"
    target.unlink()
    publish(part, target, replace=False)
    assert (names(tmp_path), target.read_text()) == (["a.txt"], "mine")


def test_folders_take_the_place_of_folders_only_where_that_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "labels"
    for text in ("first", "second"):
        part = part_of(target)
        part.mkdir()
        (part / "x").write_text(text)
        if text == "second":
            with pytest.raises(TargetExistsError):
                publish(part, target, replace=False)
            assert (target / "x").read_text() == "first"
        publish(part, target)
        assert (names(tmp_path), (target / "x").read_text()) == (["labels"], text)


@pytest.mark.parametrize("name", ["x" * 246 + ".mp4", "ä" * 123 + ".mp4", "y" * 250, "z." + "s" * 248])
def test_long_names_have_parts_too(tmp_path: Path, name: str) -> None:
    with whole_file(tmp_path / name) as part:
        part.write_text("whole")
        assert len(os.fsencode(part.name)) <= 255
    assert names(tmp_path) == [name]


def test_files_that_belong_together_are_published_all_or_none(tmp_path: Path) -> None:
    pairs = [(part_of(tmp_path / name), tmp_path / name) for name in ("a.json", "a.mp4")]
    for part, _ in pairs:
        part.write_text("mine")
    (tmp_path / "a.mp4").write_text("theirs")
    with pytest.raises(TargetExistsError, match=r"a\.mp4"):
        publish_together(pairs, replace=False)
    assert not (tmp_path / "a.json").exists()
    publish_together(pairs)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"mine"}


def test_files_that_belong_together_are_of_one_run(tmp_path: Path) -> None:
    """Four writers replace a pair twelve times each; without holding each other off they mix within a few rounds."""

    def write(word: str) -> None:
        for _ in range(12):
            pairs = [(part_of(tmp_path / name), tmp_path / name) for name in ("a.json", "a.mp4")]
            for part, _ in pairs:
                part.write_text(word)
            publish_together(pairs)
            with files._alone_in(tmp_path):
                found.append({path.read_text() for _, path in pairs})

    found: list[set[str]] = []
    threads = [threading.Thread(target=write, args=(f"run {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 * 12
    assert all(len(words) == 1 for words in found)
    assert names(tmp_path) == ["a.json", "a.mp4"]


def test_parts_of_killed_runs_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    target, other = tmp_path / "a.mp4", tmp_path / "b.mp4"
    code = f"""
import os, pathlib
from gopseg.files import part_of
part_of(pathlib.Path({str(target)!r})).write_text("file")
(part_of(pathlib.Path({str(target)!r})) / "inner").mkdir(parents=True)
part_of(pathlib.Path({str(other)!r})).write_text("other")
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    mine = part_of(target)
    mine.write_text("being written")
    elsewhere = tmp_path / mine.name.replace(files._machine(), "00000000").replace(str(os.getpid()), "999999999")
    elsewhere.write_text("of another machine")
    assert len(names(tmp_path)) == 5
    remove_abandoned(target)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"being written", "of another machine", "other"}


def test_parts_of_runs_that_are_dead_but_not_buried_go_too(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    code = (
        f"import os, pathlib; from gopseg.files import part_of; part_of(pathlib.Path({str(target)!r})).write_text('')"
    )
    process = subprocess.Popen([sys.executable, "-c", f"{code}; print(flush=True); os.kill(os.getpid(), 9)"], stdout=-1)
    assert process.stdout is not None
    while process.stdout.read():  # to its end, which is the process's, too
        pass
    deadline = time.monotonic() + 10
    while names(tmp_path) and time.monotonic() < deadline:
        remove_abandoned(target)
    assert names(tmp_path) == []
    assert process.wait() == -9
    process.stdout.close()


def test_taken_names_are_refused_broken_links_too(tmp_path: Path) -> None:
    refuse_taken([tmp_path / "none"])
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(TargetExistsError, match="link: appeared"):
        refuse_taken([tmp_path / "none", tmp_path / "link"])


def test_lines_are_appended_whole_by_many(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    file.write_text('{"cut off by a cra')

    def write(word: str) -> None:
        for _ in range(20):
            append_line(file, word * 20_000)

    threads = [threading.Thread(target=write, args=(word,)) for word in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torn, *lines = file.read_text().splitlines()
    assert torn == '{"cut off by a cra'
    assert sorted(lines) == [word * 20_000 for word in "abcd" for _ in range(20)]


def test_names_too_long_for_a_file_are_refused(tmp_path: Path) -> None:
    refuse_long_names([tmp_path / ("x" * 255), tmp_path / ("ä" * 127)])
    with pytest.raises(InputError, match=r"File name too long, 256 bytes of 255; give a shorter one by -o"):
        refuse_long_names([tmp_path / "a.mp4", tmp_path / ("ä" * 128)])


def abandoned_by(target: Path, machine: str, pid: int) -> Path:
    mine = part_of(target)
    part = mine.with_name(mine.name.replace(f"{files._machine()}-{os.getpid()}", f"{machine}-{pid}"))
    part.write_text("left")
    return part


def test_parts_of_runs_that_go_on_are_never_taken_for_abandoned(tmp_path: Path) -> None:
    target = tmp_path / "x_labels"
    with subprocess.Popen(["sleep", "60"]) as ended:
        ended.kill()
    killed = abandoned_by(target, files._machine(), ended.pid)
    os.utime(killed, (1, 1))
    elsewhere = abandoned_by(target, "0badcafe", 1)
    os.utime(elsewhere, (2, 2))
    mine = abandoned_by(target, files._machine(), os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        abandoned_by(target, files._machine(), living.pid)
        abandoned_by(tmp_path / "x_labels.mp4", "0badcafe", 1)  # of another target, whose name begins alike
        abandoned_by(tmp_path / "x_labels.part-", "0badcafe", 1)
        assert abandoned_parts(target) == [killed]
        assert abandoned_parts(target, is_alone=True) == [killed, elsewhere, mine]
    remove_abandoned(target)
    assert not killed.exists()
    assert elsewhere.exists()


def test_long_names_that_begin_alike_have_parts_of_their_own(tmp_path: Path) -> None:
    names = [tmp_path / ("n" * 246 + end) for end in ("_labels", "_color", "_color2")]
    parts = [abandoned_by(name, "0badcafe", 1) for name in names]
    assert [abandoned_parts(name, is_alone=True) for name in names] == [[part] for part in parts]
    hidden = [hidden_beside(name, ".progress.jsonl").name for name in names]
    assert len(set(hidden)) == 3
    assert max(map(len, hidden)) == 255
    assert hidden_beside(tmp_path / "x.mp4", ".progress.jsonl") == tmp_path / ".x.progress.jsonl"


def test_a_folder_is_not_left_empty(tmp_path: Path) -> None:
    made, used, there = tmp_path / "made", tmp_path / "used", tmp_path / "there"
    there.mkdir()

    def fail(folder: Path) -> None:
        with files.not_left_empty(folder):
            folder.mkdir(exist_ok=True)
            if folder == used:
                (folder / "a").touch()
            raise InputError

    for folder in (made, used, there):
        with pytest.raises(InputError):
            fail(folder)
    with files.not_left_empty(None), files.not_left_empty(tmp_path / "never"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there", "used"]

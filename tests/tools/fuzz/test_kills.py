"""`gopseg fuzz-kills`: what it finds in commands that are careless, and that ours leave nothing to find."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gopseg.tools.fuzz import kills

WRITER = """
import os, sys, time
careful = sys.argv[1] == "careful"
for number in range(4):
    if not os.path.exists(f"{number}.txt") or not careful:
        part = f".{number}.part" if careful else f"{number}.txt"
        with open(part, "w") as file:
            for word in range(20):
                file.write(f"{word}\\n")
                file.flush()
                time.sleep(0.002)
        os.replace(part, f"{number}.txt")
for name in os.listdir():
    if name.startswith(".") and careful:
        os.unlink(name)
"""


def run(folder: Path, *arguments: object) -> Result:
    return CliRunner().invoke(kills.kills, [*map(str, arguments), "-o", str(folder)])


@pytest.mark.parametrize("kind", ["careful", "careless"])
def test_half_written_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(kills, "_command", lambda *_: [sys.executable, "-c", WRITER, kind])
    monkeypatch.setattr(kills, "_clips", lambda *_: [])
    result = run(tmp_path, "--kills", 6, "--command", "encode")
    (trials,) = json.loads((tmp_path / "summary.json").read_text())
    assert trials["killed"] == 6
    assert trials["begin_seconds"] < trials["end_seconds"]
    assert (result.exit_code, bool(trials["findings"])) == ((0, False) if kind == "careful" else (1, True))
    assert f"encode: 6 runs killed, {trials['ended']} ended before" in result.output
    refused = run(tmp_path, "--kills", 6)
    assert (refused.exit_code, "summary.json: exists; give -y" in refused.output) == (2, True)


def test_a_command_that_fails_by_itself_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "_command", lambda *_: [sys.executable, "-c", "raise SystemExit('no such thing')"])
    monkeypatch.setattr(kills, "_clips", lambda *_: [])
    result = run(tmp_path, "--kills", 1, "--command", "encode")
    assert result.exit_code == 1
    assert "failed with 1 (no such thing)" in result.output


def test_an_encode_that_is_killed_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    result = run(tmp_path, "--kills", 2, "--sources", 2, "--frames", 24, "--command", "encode")
    assert result.exit_code == 0, result.output
    assert "encode: 2 runs killed" in result.output
    assert ", 0 findings" in result.output

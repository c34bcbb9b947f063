"""What cards say of how they came about."""

from __future__ import annotations

import pytest

from gopseg.tools.provenance import command_line


@pytest.mark.parametrize("arguments", [["ar", "-o", "my run"], ["train", "ar", "-o", "my run"]])
def test_a_command_is_told_by_its_own_name(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gopseg", *arguments])
    assert command_line("train-segnet") == "train-segnet ar -o 'my run'"

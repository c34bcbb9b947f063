"""The files of a report, where a disk fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopseg.tools.report import report_errors
from gopseg.tools.report.files import ReportError, write_whole


def test_what_remains_is_told(tmp_path: Path) -> None:
    (tmp_path / "report.csv").mkdir()  # in the way
    (tmp_path / "report.html").write_text("an earlier one")

    def write(name: str) -> None:
        with report_errors(tmp_path):
            if name:
                write_whole(tmp_path / name, "{}")
            write_whole(tmp_path / "report.csv", "")

    with pytest.raises(ReportError, match=r"report\.csv: cannot be written .*; .* its folder has report\.json, and"):
        write("report.json")
    with pytest.raises(ReportError, match=r"cannot be written .*; of this report its folder has nothing, and the"):
        write("")

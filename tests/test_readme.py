"""The README's Python session, run as it stands."""

from __future__ import annotations

import doctest
import re
from fractions import Fraction
from pathlib import Path

import pytest

from gopseg.codec import EncodeSettings, pictures_of_images, transcode
from gopseg.data import SyntheticStreet

README = Path(__file__).resolve().parents[1] / "README.md"
SESSIONS = re.findall(r"```pycon\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`drive.mp4` in the current folder: four frames of a street, a keyframe and three that are predicted from it."""
    images = (image for image, _ in SyntheticStreet(seed=16).frames(4))
    pictures = pictures_of_images(images, "street", Fraction(15))
    transcode(pictures, tmp_path / "drive.mp4", EncodeSettings(bitrate_bps=1_000_000))
    monkeypatch.chdir(tmp_path)


def test_there_is_one() -> None:
    assert sum("gopseg.segment(" in session for session in SESSIONS) == 1


@pytest.mark.usefixtures("drive")
@pytest.mark.parametrize("session", SESSIONS)
def test_sessions_print_what_they_say(session: str) -> None:
    report: list[str] = []
    test = doctest.DocTestParser().get_doctest(session, {}, "README", str(README), 0)
    failed, tried = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert tried > 1
    assert not failed, "".join(report)

"""Several live sources: one process, one network, outputs of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from gopseg.pipelines.stream.jobs import live as module
from gopseg.pipelines.stream.jobs.runners import Runners
from tests.pipelines.stream.serving import Server, send


class Recordings(Server):
    """Sends `data` to everyone who asks for it; to /held/... only its first part, and then nothing until `released`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(self._answer)
        self._data = data

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        data = self._data
        if "missing" in request.path:
            request.send_error(404)
        elif "held" in request.path:
            send(request, data[: len(data) * 2 // 3 // 188 * 188])
            self.released.wait(30)
        else:
            send(request, data, Content_Length=len(data))


@pytest.fixture
def server(tmp_path: Path, make_clip, square_images) -> Iterator[Server]:
    clip = make_clip(tmp_path / "x.ts", square_images * 2, container="mpegts")
    server = Recordings(clip.read_bytes())
    yield server
    server.close()


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_they_share_one_network(stream, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Runners] = []
    monkeypatch.setattr(module, "Runners", lambda: made.append(Runners()) or made[0])
    sources = [f"{server.address}/{name}.ts" for name in ("one", "two", "missing")]
    result = stream(*sources, "-o", "out", "--save", "rle", "--stats", "s.json")
    assert result.exit_code == 1, result.output
    assert result.stderr.splitlines()[-1] == "1 of 3 sources failed."
    one, two = lines(tmp_path / "out" / "one.rle.jsonl"), lines(tmp_path / "out" / "two.rle.jsonl")
    assert one == two
    assert len(one) == 24
    assert len(made) == 1
    assert len(set(map(id, made[0]._made.values()))) == 1
    entries = json.loads((tmp_path / "s.json").read_text())["sources"]
    assert [entry.get("frames") for entry in entries] == [24, 24, None]


def test_ctrl_c_ends_all_of_them(stream, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One has ended; the other waits for a server that sends nothing more."""
    wait = module._Runs.wait

    def interrupted(runs: Any) -> None:
        monkeypatch.setattr(module._Runs, "wait", wait)
        while not (len(runs.reports) == 1 and any(session.stats.frames > 10 for session in runs._sessions[:2])):
            runs._threads[0].join(0.05)
        while sum(session.stats.frames > 10 for session in runs._sessions) < 2:
            runs._threads[1].join(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Runs, "wait", interrupted)
    result = stream(f"{server.address}/one.ts", f"{server.address}/held/two.ts", "-o", "out", "--save", "rle")
    assert result.exit_code == 130, result.output
    assert len(lines(tmp_path / "out" / "one.rle.jsonl")) == 24
    assert 10 < len(lines(tmp_path / "out" / "two.rle.jsonl")) < 24


def test_what_cannot_be(stream) -> None:
    for wrong, words in (
        (("rtsp://a/1", "rtsp://b/1", "--jobs", "2"), "--jobs: live sources share one process"),
        (("rtsp://a/1", "rtsp://b/1", "--resume"), "--resume"),
        (("-", "x.mp4"), "is live"),
    ):
        result = stream(*wrong)
        assert (result.exit_code, words in result.stderr) == (2, True), result.stderr

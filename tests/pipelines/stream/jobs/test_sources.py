"""Files, folders and globs as sources, and what their outputs are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gopseg.pipelines import StreamRequest, StreamUsageError
from gopseg.pipelines.stream.jobs import find_sources, requests_for


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes empty files in an empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def test_one_source_is_left_as_it_is(here: Callable[..., Path]) -> None:
    here("a.mp4", "frames/000.png", "frames/001.png")
    for source in ("a.mp4", "frames", "frames/*.png", "rtsp://camera/1", "-", "missing.mp4", "0"):
        given = find_sources([source])
        assert (given.sources, given.are_many) == ((source,), False)


def test_folders_and_globs_of_videos(here: Callable[..., Path]) -> None:
    here("d/c10.mp4", "d/c9.MKV", "d/notes.txt", "d/.hidden.mp4", "d/below/x.mp4", "e/000.png", "a.mp4")
    given = find_sources(["a.mp4", "d", "d/c*", "e"])
    assert given.sources == ("a.mp4", "d/c9.MKV", "d/c10.mp4", "e")
    assert given.are_many
    assert [note.split(":")[0] for note in given.notes] == ["d/c9.MKV", "d/c10.mp4"], "the glob names them again"
    assert find_sources(["d"]).are_many
    assert find_sources(["d/c9*"]) == find_sources(["d/c9.*"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mixed"], "holds videos and still images"),
        (["mixed/*"], "holds videos and still images"),
        (["a.mp4", "none*.mp4"], "the pattern matches nothing"),
        (["none*.mp4"], "the pattern matches nothing"),
        (["above"], "no video and no image lies directly in it; .*'above/\\*\\*/\\*.mp4'"),
        (["a.mp4", "missing.mp4"], "no such file or folder"),
        (["a.mp4", "rtsp://camera/1"], "is live"),
    ],
)
def test_what_cannot_be(here: Callable[..., Path], arguments: list[str], words: str) -> None:
    here("mixed/a.mp4", "mixed/a.png", "a.mp4", "above/below/a.mp4", "above/notes.txt")
    with pytest.raises(StreamUsageError, match=words):
        find_sources(arguments)


def named(sources: list[str], output: Path | None = None) -> list[str]:
    template = StreamRequest(source=sources[0], output=output)
    return [str(request.video) for request in requests_for(find_sources(sources), template)]


def test_outputs_are_named_after_the_sources(here: Callable[..., Path]) -> None:
    here("a.mp4", "b.mkv", "cam1/x.mp4", "cam2/x.mp4", "cam2/X.mkv")
    assert named(["a.mp4", "b.mkv"]) == ["a_segmented.mp4", "b_segmented.mp4"]
    assert named(["a.mp4", "cam1/x.mp4", "cam2/x.mp4"], Path("out")) == [
        "out/a.mp4",
        "out/cam1_x.mp4",
        "out/cam2_x.mp4",
    ]
    assert named(["rtsp://u:p@one:554/live", "rtsp://two/live"], Path("o")) == ["o/one-554_live.mp4", "o/two_live.mp4"]
    with pytest.raises(StreamUsageError, match="so would cam2/x"):
        named(["cam2/x.mp4", "cam2/X.mkv"], Path("out"))


def test_folders_of_outputs(here: Callable[..., Path]) -> None:
    here("a.mp4", "b.mp4", "a.mkv", "file")
    with pytest.raises(StreamUsageError, match="names one video"):
        named(["a.mp4", "b.mp4"], Path("out.mp4"))
    with pytest.raises(StreamUsageError, match="is a file"):
        named(["a.mp4", "b.mp4"], Path("file"))
    with pytest.raises(StreamUsageError, match="would replace the source"):
        named(["b.mp4", "a.mp4"], Path())

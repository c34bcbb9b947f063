"""The files of a source: one, or what a playlist lists."""

from __future__ import annotations

from pathlib import Path

from gopseg.codec import source_files


def test_a_file_is_all_of_itself(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    assert source_files(tmp_path / "a.mp4") == (tmp_path / "a.mp4",)
    assert source_files(tmp_path / "missing.mp4") == ()
    assert source_files(tmp_path) == ()


def test_playlists_with_all_that_they_list(tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    files = [tmp_path / "low" / name for name in ("init.mp4", "0.m4s", "1 a.m4s")]
    for file in files:
        file.touch()
    media = tmp_path / "low" / "v.m3u8"
    media.write_text(
        '#EXTM3U\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:2,\n0.m4s\n\n#EXTINF:2,\n1 a.m4s\n#EXTINF:2,\nlost.m4s\n'
    )
    master = tmp_path / "all.m3u8"
    master.write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow/v.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhttp://x/y\n")
    assert source_files(media) == (media, *files)
    assert source_files(master) == (master, media, *files)
    media.write_text("#EXTM3U\nv.m3u8\n../all.m3u8\n")
    assert source_files(master) == (master, media), "playlists that list each other end"


def test_concat_lists_quote_as_shells_do(tmp_path: Path) -> None:
    for name in ("a b.ts", "it's.ts", "c.ts"):
        (tmp_path / name).touch()
    text = "ffconcat version 1.0\nfile 'a b.ts'\nduration 2\nfile 'it'\\''s.ts'\n# file c.ts\nfile c.ts\nfile 'open\n"
    (tmp_path / "list.ffconcat").write_text(text)
    assert [path.name for path in source_files(tmp_path / "list.ffconcat")] == [
        "list.ffconcat",
        "a b.ts",
        "it's.ts",
        "c.ts",
    ]

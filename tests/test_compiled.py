"""Compiled loops: when they are loaded, and what happens where they cannot be."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from gopseg import compiled
from gopseg.compiled import Loops, compiled_loop


def module_of(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Loops:
    """The loops of a module of `text`."""
    name = f"loops_{folder.name}"
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(Loops, "when", "auto")
    return Loops(name)


def test_a_short_run_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loops = module_of(tmp_path, monkeypatch, "value = 3")
    for _ in range(compiled._PATIENCE):
        assert loops.get() is None
    assert loops._loader is None
    found = loops.get()  # which starts loading
    assert loops._loader is not None
    assert found is None
    assert loops.wait()
    found = loops.get()
    assert found is not None
    assert found.value == 3
    monkeypatch.setattr(Loops, "when", "never")
    assert loops.get() is None


def test_whoever_asks_waits_if_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loops = module_of(tmp_path, monkeypatch, "value = 3")
    monkeypatch.setattr(Loops, "when", "now")
    found = loops.get()
    assert found is not None
    assert found.value == 3


@pytest.mark.parametrize(
    ("text", "level"), [("import not_installed", logging.DEBUG), ("raise OSError('no memory')", logging.WARNING)]
)
def test_what_fails_is_left_to_numpy(
    text: str, level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loops = module_of(tmp_path, monkeypatch, text)
    with caplog.at_level(logging.DEBUG, logger="gopseg.compiled"):
        assert not loops.wait()
    assert [record.levelno for record in caplog.records] == [level]
    assert all(loops.get() is None for _ in range(40))


def test_without_numba_or_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(ImportError, match="NUMBA_DISABLE_JIT"):
        compiled_loop("void()")
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError):
        compiled_loop("void()")


def test_a_loop_that_cannot_be_kept_is_compiled_only_if_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba finds no folder for what comes from no file."""
    pytest.importorskip("numba")
    names: dict[str, object] = {}
    exec("def twice(x): return 2 * x", names)
    monkeypatch.setattr(Loops, "when", "auto")
    with pytest.raises(ImportError, match="set NUMBA_CACHE_DIR"):
        compiled_loop("float64(float64)")(names["twice"])  # type: ignore[type-var]
    monkeypatch.setattr(Loops, "when", "now")
    twice = compiled_loop("float64(float64)")(names["twice"])  # type: ignore[type-var]
    assert twice(2.5) == 5.0  # type: ignore[operator]
    assert twice.signatures  # type: ignore[attr-defined]

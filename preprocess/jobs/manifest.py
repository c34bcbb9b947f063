"""`Manifest`: the account of a corpus, one JSON line a finished or failed source, that `--resume` goes on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...codec import EncodeError
from ...files import append_line
from .batch import Job, Outcome
from .sidecar import sha256_of


class Manifest:
    """Lines of `source`, `status` ("done" or "failed"), `attempts`, `output`, `sha256`, `seconds` and `worker`
    (host:process) of the last attempt, `error`, `settings`, and `source_stamp` (bytes, ns of the last change).

    A line is appended in one piece when its source ends, so that whatever is killed later costs none of those before,
    and several runs can share the file; the last line of an output counts, and one cut off by a crash is passed over.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._last: dict[str, dict[str, Any]] = {}
        text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self._last[entry["output"]] = entry
            except (ValueError, KeyError, TypeError):
                continue

    def add(self, outcome: Outcome) -> None:
        """Append what became of one job; EncodeError where the file cannot be written."""
        job, done = outcome.job, outcome.done
        entry = {
            "source": str(job.source_path),
            "status": "failed" if done is None else "done",
            "attempts": outcome.attempts,
            "output": str(job.output),
            "sha256": None if done is None else done.sha256,
            "seconds": None if done is None else done.seconds,
            "worker": None if done is None else done.worker,
            "error": None if outcome.error is None else str(outcome.error),
            "settings": job.settings_record(),
            "source_stamp": job.source_stamp(),
        }
        self._last[str(job.output)] = entry
        try:
            append_line(self.file, json.dumps(entry))
        except OSError as error:
            raise EncodeError(f"{self.file}: cannot be written ({error.strerror}); check rights and space") from error

    def is_finished(self, job: Job) -> bool:
        """Whether the output is there as its line says, made with these settings from a source unchanged since."""
        entry = self._last.get(str(job.output))
        return (
            entry is not None
            and entry["status"] == "done"
            and entry["settings"] == job.settings_record()
            and entry["source_stamp"] == job.source_stamp()
            and job.output.exists()
            and entry["sha256"] == sha256_of(job.output)
        )

"""The note `refusal.json`, left beside a document by a renderer that refused an edit.

Rule: the renderer alone writes it, whole or not at all; a reader takes whatever does not look like a note for
none, since a note must never be what stops a gateway.
"""

import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_gateway_config.problems import Problem

NAME = "refusal.json"


@dataclass(frozen=True, slots=True)
class Refusal:
    """`at`: Unix time of the refusal in seconds. `problems`: why."""

    at: float
    problems: tuple[Problem, ...]


def write(folder: Path, problems: Iterable[Problem], at: float) -> None:
    """Leaves the note in `folder`. OSError when it cannot be written."""
    listed = [{"file": p.file, "path": p.path, "line": p.line, "message": p.message} for p in problems]
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{NAME}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"at": at, "problems": listed}, file)
        os.replace(temporary, folder / NAME)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def clear(folder: Path) -> None:
    """Takes the note away, if there is one."""
    (folder / NAME).unlink(missing_ok=True)


def read(folder: Path) -> Refusal | None:
    """The note in `folder`, or None when there is none that can be read."""
    try:
        note = json.loads((folder / NAME).read_bytes())
        return Refusal(float(note["at"]), tuple(_problem(entry) for entry in note["problems"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _problem(entry: dict[str, Any]) -> Problem:
    line = entry.get("line")
    file = entry.get("file")
    return Problem(
        file=file if isinstance(file, str) else None,
        line=line if isinstance(line, int) else None,
        path=str(entry.get("path") or ""),
        message=str(entry["message"]),
    )

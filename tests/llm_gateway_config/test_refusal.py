"""The note beside the document."""

from pathlib import Path

import pytest

from llm_gateway_config import refusal
from llm_gateway_config.problems import Problem

PROBLEMS = (Problem("a.yaml", 3, "spec.x", "is bad"), Problem(None, None, "", "is worse: \u00fc"))


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    refusal.write(tmp_path, PROBLEMS, 12.5)
    assert refusal.read(tmp_path) == refusal.Refusal(12.5, PROBLEMS)
    refusal.write(tmp_path, PROBLEMS[:1], 13.0)
    assert refusal.read(tmp_path) == refusal.Refusal(13.0, PROBLEMS[:1])
    assert [entry.name for entry in tmp_path.iterdir()] == [refusal.NAME]


def test_a_note_goes_away(tmp_path: Path) -> None:
    refusal.write(tmp_path, PROBLEMS, 1.0)
    refusal.clear(tmp_path)
    refusal.clear(tmp_path)
    assert refusal.read(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


GARBAGE = {
    "nothing": b"",
    "half a note": b'{"at": 1, "problems": [{"mess',
    "another shape": b"[]",
    "no time": b'{"problems": []}',
    "a time in words": b'{"at": "noon", "problems": []}',
    "problems that are none": b'{"at": 1, "problems": [1]}',
    "no message": b'{"at": 1, "problems": [{}]}',
    "bytes": b"\xff\xff",
    "a deep hole": b"[" * 100_000,
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_no_note(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / refusal.NAME).write_bytes(raw)
    assert refusal.read(tmp_path) is None


def test_a_note_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / refusal.NAME).mkdir()
    with pytest.raises(OSError, match=refusal.NAME):
        refusal.write(tmp_path, PROBLEMS, 1.0)
    assert [entry.name for entry in tmp_path.iterdir()] == [refusal.NAME]

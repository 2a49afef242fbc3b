"""The folder of one running cluster: in memory where there is room, gone with its owner."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 1 << 30  # bytes: etcd alone sets 128 MB aside, and a scale test writes more
PREFIX = "llm-gateway-cluster-"


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, removed at the end; the ones of owners that were killed are removed at the start."""
    base = _base()
    _remove_orphans(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        with (folder / "locking").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # held for as long as this process lives
            # Named when locked: in between, another process would take the folder for an orphan.
            Path(lock.name).rename(_lock_file(folder))
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _base() -> Path:
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    return MEMORY if roomy else Path(tempfile.gettempdir())


def _remove_orphans(base: Path) -> None:
    for folder in base.glob(f"{PREFIX}*"):
        if _is_orphan(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_orphan(folder: Path) -> bool:
    try:
        with _lock_file(folder).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked; or without a lock yet: its owner is just making it; or another user's
        return False
    return True


def _lock_file(folder: Path) -> Path:
    return folder / "lock"

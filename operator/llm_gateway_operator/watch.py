"""When a folder of YAML has changed.

watchfiles (inotify) gives the hint and a signature of the files decides, so that nothing depends on which
events an editor causes. The signature is also taken without a hint: inotify says nothing about network and
container mounts, about files behind symbolic links, and about a folder that was replaced by another of the
same name.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from watchfiles import awatch

SUFFIXES = (".yaml", ".yml", ".json")

_DEBOUNCE_MS = 50  # an editor truncates and writes, or writes beside and renames: one change
_LOOK_ANYWAY_MS = 300
_STEP_MS = 10

_Identity = tuple[str, int, int, int, int]
Signature = frozenset[_Identity]


def files(target: Path) -> Iterator[Path]:
    """The files that a folder (or a single file) stands for, in a fixed order.

    Subfolders count, hidden files and folders do not; those include what editors leave while they write and
    the `..data` of a mounted volume. Symbolic links to folders are not followed, so there are no loops.
    Raises OSError when `target` or a folder in it cannot be read.
    """
    if not target.is_dir():
        target.stat()
        yield target
        return
    with os.scandir(target) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files(Path(entry.path))
        elif entry.name.endswith(SUFFIXES) and not entry.is_dir():
            yield Path(entry.path)


def signature(target: Path) -> Signature | None:
    """What tells one state of the files from another; None when they cannot be listed."""
    try:
        return frozenset(_identity(path) for path in files(target))
    except OSError:
        return None


def _identity(path: Path) -> _Identity:
    try:
        info = path.stat()
    except OSError:  # removed since it was listed, or a link to nowhere
        return (str(path), 0, 0, 0, 0)
    # ctime: permissions that are put right change nothing else.
    return (str(path), info.st_ino, info.st_mtime_ns, info.st_ctime_ns, info.st_size)


async def changes(
    target: Path, stop: asyncio.Event, seen: Signature | None
) -> AsyncIterator[Signature | None]:
    """Yields the new signature each time the files differ from the last one, until `stop` is set.

    `seen` is the signature from before the first read, so that an edit during that read is not missed.
    """
    while not stop.is_set():
        async for _ in _hints(_watched(target), stop):
            now = signature(target)
            if now != seen:
                seen = now
                yield now


def _watched(target: Path) -> Path:
    # Of a single file the folder, since editors replace the file itself.
    return target.parent if target.is_file() else target


async def _hints(folder: Path, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yields when something may have changed; ends when another folder is at that path, or none."""
    before = _inode(folder)
    if before is None:
        await asyncio.sleep(_LOOK_ANYWAY_MS / 1000)
        yield
        return
    try:
        async for _ in awatch(
            folder,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=_LOOK_ANYWAY_MS,
            yield_on_timeout=True,
            stop_event=stop,
        ):
            yield
            if _inode(folder) != before:
                return
    except (OSError, RuntimeError):
        # No inotify, no more of its instances, or the folder was removed just now; the caller looks and tries again.
        await asyncio.sleep(_LOOK_ANYWAY_MS / 1000)
        yield


def _inode(folder: Path) -> tuple[int, int] | None:
    try:
        info = folder.stat()
    except OSError:
        return None
    return (info.st_dev, info.st_ino)

"""Watches the document and the files that it names; swaps the runtime; keeps the last good one.

Two senses, because neither is enough alone: notifications of the file system (they come at once, but are lost on some
mounts) and a look at the files themselves (at least every `LOOK_AGAIN`).
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import watchfiles

from llm_gateway.runtime import Gateway, Runtime, build
from llm_gateway.upstream.registry import Upstreams
from llm_gateway_config import Loaded, Problem, Refused, refusal
from llm_gateway_config.files import is_special

logger = logging.getLogger(__name__)
# It tells of every change in the folder, also of the log file that it then makes longer.
logging.getLogger("watchfiles").setLevel(logging.WARNING)

DEBOUNCE = 50  # milliseconds to gather the changes that belong together
LOOK_AGAIN = 1_000  # milliseconds between two looks when nothing is notified

Signature = tuple[tuple[str, int, int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An edit that was not taken over. `at`: Unix seconds. `revision`: a hash of its text, "" if there is none."""

    revision: str
    at: float
    problems: tuple[Problem, ...]


class Reloader:
    """`refused` is None when the newest document is the one in force, and its renderer has refused nothing since."""

    def __init__(
        self,
        path: Path,
        loaded: Loaded,
        gateway: Gateway,
        upstreams: Upstreams,
        load: Callable[[], Loaded],
        applied: Callable[[Loaded], None],
        other_files: Mapping[str, Callable[[], None]],
    ) -> None:
        """`load` reads the document anew; it runs in a thread. `applied` is told of each document that came into force.

        `other_files`: what to do when a file beside the document's own changes (certificates); may raise OSError.
        """
        self._refused: Refusal | None = None
        self._noted: Refusal | None = None
        self._path = path
        self._gateway = gateway
        self._upstreams = upstreams
        self._load = load
        self._applied = applied
        self._other_files = other_files
        self._files = _files_of(path, loaded)
        self._seen: Signature = ()  # nothing: what was loaded may have been edited since
        self._seen_others = {name: _signature([Path(name)]) for name in other_files}
        self._read_note()

    @property
    def refused(self) -> Refusal | None:
        return self._noted or self._refused

    async def run(self) -> None:
        """Until cancelled."""
        await self.look()
        while True:
            folders = self._folders()
            async for _ in _changes(folders):
                await self.look()
                if self._folders() != folders:
                    break

    def _folders(self) -> set[Path]:
        return {file.parent for file in (*self._files, *map(Path, self._other_files))}

    async def look(self) -> None:
        """Take over what has changed, if anything has."""
        for name, changed in self._other_files.items():
            signature = _signature([Path(name)])
            if signature != self._seen_others[name]:
                self._seen_others[name] = signature
                self._reload_other(name, changed)
        signature = _signature(self._files)
        if signature != self._seen:
            self._seen = signature
            await self._reload()
        self._read_note()

    def _reload_other(self, name: str, changed: Callable[[], None]) -> None:
        try:
            changed()
            logger.info("%s has changed and is in use", name)
        except OSError as error:
            logger.error("%s has changed and cannot be used, the old one stays: %s", name, error)

    async def _reload(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            # In a thread: a large document takes long enough to be felt by the streams.
            loaded = await loop.run_in_executor(None, self._load)
            self._watch(_files_of(self._path, loaded))
            runtime = build(loaded, self._upstreams)
        except Refused as error:
            return self._refuse(error.problems)
        except OSError as error:
            return self._refuse((Problem(str(self._path), None, "", str(error)),))
        except Exception as error:  # a fault of ours must not end the watching: the next edit may be the cure
            self._gateway.report(error)
            return self._refuse(
                (Problem(str(self._path), None, "", "cannot be used; the log has the reason"),)
            )
        return self._use(runtime, loaded)

    def _watch(self, files: tuple[Path, ...]) -> None:
        """Files that are new here may have changed after they were read: they are looked at once more."""
        if files != self._files:
            self._files, self._seen = files, ()

    def _use(self, runtime: Runtime, loaded: Loaded) -> None:
        gateway = self._gateway
        news = self._refused is not None or runtime.revision != gateway.runtime.revision
        self._refused = None
        gateway.runtime = runtime if news else replace(runtime, loaded_at=gateway.runtime.loaded_at)
        self._applied(loaded)
        if news:
            for warning in loaded.warnings:
                logger.warning("%s", warning)
            logger.info("configuration %s is in force", runtime.revision)
            gateway.instruments.use_revision(runtime.revision)
            gateway.instruments.reloads_applied.inc()

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        revision = ""
        with contextlib.suppress(OSError):
            if not is_special(self._path):
                revision = hashlib.sha256(self._path.read_bytes()).hexdigest()[:12]
        self._refused = Refusal(revision, time.time(), problems)
        self._tell(self._refused)

    def _tell(self, refused: Refusal) -> None:
        self._gateway.instruments.reloads_refused.inc()
        for problem in refused.problems:
            logger.error("%s", problem)
        logger.error("the edit is refused; configuration %s stays in force", self._gateway.runtime.revision)

    def _read_note(self) -> None:
        """A renderer that refuses an edit leaves a note, because the document then shows nothing of it."""
        note = refusal.read(self._path.parent)
        if note is None:
            self._noted = None
        elif self._noted is None or self._noted.at != note.at:
            self._noted = Refusal("", note.at, note.problems)
            self._tell(self._noted)


def _files_of(path: Path, loaded: Loaded) -> tuple[Path, ...]:
    return (path, *loaded.files)


def _signature(files: tuple[Path, ...] | list[Path]) -> Signature:
    """Changes whenever a file is written, replaced, made readable, or comes or goes."""
    return tuple(_stat(file) for file in files)


def _stat(file: Path) -> tuple[str, int, int, int, int] | None:
    try:
        real = os.path.realpath(file)
        stat = os.stat(real)
    except OSError:
        return None
    return real, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size


async def _changes(folders: set[Path]) -> AsyncIterator[None]:
    """Something has happened in the folders, or a while has passed."""
    present = [folder for folder in folders if folder.is_dir()] or [Path(os.sep)]
    arguments = {
        "watch_filter": None,
        "debounce": DEBOUNCE,
        "step": 10,
        "rust_timeout": LOOK_AGAIN,
        "yield_on_timeout": True,
        "recursive": False,
    }
    try:
        async for _ in watchfiles.awatch(*present, **arguments):  # type: ignore[arg-type]  # one type for all values
            yield
    except (OSError, RuntimeError) as error:  # no inotify, or no more of its instances for this user
        logger.warning("the file system notifies of no changes (%s); looking every %d ms", error, LOOK_AGAIN)
    while True:
        await asyncio.sleep(LOOK_AGAIN / 1000)
        yield

"""The private folder from which the gateway process reads: `gateway.yaml` and its credential files.

Every file appears whole (written beside, then renamed), and credentials before the document that names them.
Credential files are content-addressed, so a document can only ever meet the values it was rendered with.
"""

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from llm_gateway_config.secret import Secret

DOCUMENT = "gateway.yaml"
PREFIX = "llm-gateway-"

_OWNED = re.compile(rf"{PREFIX}([1-9][0-9]{{0,8}})-.+")  # 9 digits: what kill() takes, and more than any pid


def private_folder() -> tempfile.TemporaryDirectory[str]:
    """A new folder of mode 0700 with this process's number in its name. Raises OSError where none can be made."""
    return tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")


def remove_abandoned() -> None:
    """Remove our folders whose process was killed: they hold credentials. Raises nothing: what resists stays."""
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).iterdir():
            named = _OWNED.fullmatch(folder.name)
            if named and _is_our_folder(folder) and not _lives(int(named[1])):
                shutil.rmtree(folder, ignore_errors=True)


def _is_our_folder(path: Path) -> bool:
    try:
        info = path.lstat()  # the folder for temporary files is everyone's: a link may lead anywhere
    except OSError:  # another start has just removed it
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


class Workspace:
    """A folder of mode 0700 that only the child process reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document = folder / DOCUMENT
        self._there: set[str] = set()
        self._named: frozenset[str] = frozenset()
        self._named_before: frozenset[str] = frozenset()

    def write(self, document: str, credentials: Mapping[str, Secret]) -> None:
        """Replace the document. Its credentials and those of the document before it stay; older ones go.

        The gateway may be reading the former document at this moment, so that one's files must not vanish.
        """
        for name, secret in sorted(credentials.items()):
            path = self.folder / name
            if not path.exists():
                self._there.add(name)
                _write_whole(path, secret.reveal())
        _write_whole(self.document, document)
        self._named_before, self._named = self._named, frozenset(credentials)
        self._sweep()

    def _sweep(self) -> None:
        for name in self._there - self._named - self._named_before:
            (self.folder / name).unlink(missing_ok=True)
        self._there &= self._named | self._named_before


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.replace(beside, path)

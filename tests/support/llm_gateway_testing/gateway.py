"""A gateway process for tests: started on a document, read through its log, its ports and its metrics."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

START_LIMIT = 30.0  # seconds; a loaded machine starts a process in two
SERVING = re.compile(r"serving on (https?)://[^:]+:(\d+), metrics and admin on port (\d+)")
T = TypeVar("T")
ANY_PORT = "server: {port: 0, metrics_port: 0}\n"


def wait_for(what: str, probe: Callable[[], T | None], limit: float = 10.0) -> T:
    """Call `probe` until it returns something true; the test fails when `limit` seconds were not enough."""
    end = time.monotonic() + limit
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:g} s in vain for {what}; last seen: {found!r}")
        time.sleep(0.02)


class RunningGateway:
    """`document`: the text of gateway.yaml, its ports best 0; None: the gateway finds one itself, or does without."""

    def __init__(
        self,
        folder: Path,
        document: str | None,
        *,
        arguments: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.folder = folder
        self.path = folder / "gateway.yaml"
        if document is not None:
            self.path.write_text(document)
            arguments = ("--config", str(self.path), *arguments)
        self._log = folder / "gateway.log"
        self._errors = folder / "gateway.err"
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **(env or {})}
        with self._log.open("wb") as log, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "llm_gateway", *arguments],
                stdout=log,
                stderr=errors,
                stdin=stdin,
                env=environment,
                cwd=folder,
            )
        self.scheme, self.port, self.metrics_port = self._wait_until_serving()
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{self.metrics_port}"

    def _wait_until_serving(self) -> tuple[str, int, int]:
        def serving() -> re.Match[str] | None:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended at once:\n{self.errors()}{self._log.read_text()}")
            return SERVING.search(self._log.read_text())

        found = wait_for("the gateway to serve", serving, START_LIMIT)
        return found[1], int(found[2]), int(found[3])

    def edit(self, document: str) -> None:
        """Replace the document as an editor does: a new file, renamed over the old one."""
        new = self.path.with_suffix(".new")
        new.write_text(document)
        new.replace(self.path)

    def lines(self) -> list[dict[str, Any]]:
        """The log so far, a dictionary a line."""
        return [json.loads(line) for line in self._whole_lines()]

    def _whole_lines(self) -> list[str]:
        return self._log.read_text().rpartition("\n")[0].splitlines()  # the last one may still be written

    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("message") == "request"]

    def request(self, request_id: str) -> dict[str, Any]:
        """The log line of one request, once it is written."""
        return wait_for(
            f"the log line of {request_id}",
            lambda: next((json.loads(line) for line in self._whole_lines() if request_id in line), None),
        )

    def errors(self) -> str:
        return self._errors.read_text()

    def get(self, path: str, *, admin: bool = False) -> tuple[int, Any]:
        """Status and JSON of a GET on the serving port, or the admin port."""
        try:
            with urllib.request.urlopen((self.admin if admin else self.url) + path, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def config(self) -> dict[str, Any]:
        """What GET :9090/config says."""
        config: dict[str, Any] = self.get("/config", admin=True)[1]
        return config

    def samples(self, name: str) -> list[Sample]:
        """What /metrics says of one name."""
        with urllib.request.urlopen(self.admin + "/metrics", timeout=10) as answer:
            text = answer.read().decode()
        # Parsing is slow, and there are many metrics.
        lines = [line for line in text.splitlines() if line.startswith((name + "{", name + " "))]
        families = text_string_to_metric_families("\n".join(lines) + "\n")
        return [sample for family in families for sample in family.samples if sample.name == name]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples whose labels include these; 0 when there is none."""
        return sum(sample.value for sample in self.samples(name) if labels.items() <= sample.labels.items())

    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, limit: float = 15.0) -> int:
        """SIGTERM, then the exit code; a process that does not end in time is killed and the test fails."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not end within {limit:g} s") from None


@contextmanager
def running(
    folder: Path,
    document: str | None,
    *,
    arguments: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[RunningGateway]:
    """A gateway for the length of a `with`; killed if it still runs then."""
    gateway = RunningGateway(folder, document, arguments=arguments, env=env, stdin=stdin)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.process.kill()
        gateway.process.wait()

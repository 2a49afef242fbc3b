"""One process of a cluster: started with its log in a file, stopped by its own pid."""

import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from llm_gateway_testing.cluster.errors import ClusterUnavailable

OPEN_FILES = 65536
POLL = 0.02  # seconds
LOG_TAIL = 3000  # characters


class Part:
    """It dies with the thread that started it, also when that is killed: a stray API server outlives nothing."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self._command = ["setpriv", "--pdeathsig", "KILL", "--", *command]  # it execs: the pid stays
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """A second start appends to the log of the first. Raises ValueError while it runs."""
        if self.running:
            raise ValueError(f"{self.name} is running")
        raise_open_files_limit()
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def stop(self) -> None:
        """SIGKILL, also to one that is paused, and wait: nothing is kept, so nothing needs a graceful end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def wait_until(self, ready: Callable[[], bool], limit: float) -> None:
        """Raises ClusterUnavailable with the end of the log if the process ends or `limit` seconds pass."""
        deadline = time.monotonic() + limit
        while not ready():
            if not self.running:
                raise ClusterUnavailable(f"{self.name} ended while starting:\n{self.log()}")
            if time.monotonic() > deadline:
                raise ClusterUnavailable(f"{self.name} was not ready in {limit:.0f} s:\n{self.log()}")
            time.sleep(POLL)

    def log(self) -> str:
        """The end of what it said."""
        return self._log.read_text(errors="replace")[-LOG_TAIL:] if self._log.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise ValueError(f"{self.name} is not running")
        self._process.send_signal(number)


def raise_open_files_limit() -> None:
    """For this process and those it starts: an API server with many watches needs thousands."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES:
        return
    enough = hard == resource.RLIM_INFINITY or hard >= OPEN_FILES
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard if enough else OPEN_FILES))
    except (ValueError, OSError):  # only root may raise the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

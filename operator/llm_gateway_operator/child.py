"""The gateway as a child process: start, ask whether it is ready, stop.

The child has a session of its own, so that Ctrl-C on the terminal reaches only this process, which passes it
on in order. Its stdin is a pipe that nobody writes to: when this process dies, however it dies, the pipe
closes and the child ends.
"""

import asyncio
import contextlib
import http.client
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

# The document says it all; these would override it, and this process has taken them into account already.
_NOT_INHERITED = frozenset({"PORT", "METRICS_PORT", "GATEWAY_CONFIG"})

_ASK_EVERY = 0.05
_ANSWER_WITHIN = 1.0


class Child:
    """One running `llm_gateway`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._sent: set[int] = set()

    @classmethod
    async def start(cls, document: Path, env: Mapping[str, str]) -> "Child":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working directory is the user's, not a source of modules
            "-m",
            "llm_gateway",
            "--config",
            os.fspath(document),
            "--stop-with-stdin",
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={name: value for name, value in env.items() if name not in _NOT_INHERITED},
        )
        return cls(process)

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    @property
    def killed_by(self) -> int | None:
        """The signal that ended it; None when it has not ended, exited, or was sent that signal from here."""
        code = self._process.returncode
        return -code if code is not None and code < 0 and -code not in self._sent else None

    async def exit_code(self) -> int:
        """Waits for the end; a death by signal is told as shells do (128 + number)."""
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """Ask for a drain."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.ended:
            return
        self._sent.add(number)
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ready(self, metrics_port: int, within: float) -> bool:
        """True once `GET /ready` answers 200; False when the child ends first, or after `within` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while not self.ended and loop.time() < deadline:
            if await asyncio.to_thread(_answers_ready, metrics_port):
                return not self.ended
            await asyncio.sleep(_ASK_EVERY)
        return False


def _answers_ready(port: int) -> bool:
    # http.client and not urllib.request, which would go through the proxy that the environment names.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_WITHIN)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

"""The real kubectl as a function: text in, text out."""

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 120.0  # seconds that one command may take
TIMED_OUT = 124  # what coreutils' timeout answers with


@dataclass(frozen=True, slots=True)
class Output:
    """What one command said. `stdout` and `stderr` are text."""

    args: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.returncode == 0

    @property
    def failure(self) -> str:
        """The command, how it ended and what it said: for the message of an assert."""
        said = (self.stderr or self.stdout).strip()
        return f"`kubectl {shlex.join(self.args)}` ended with {self.returncode}:\n{said}"

    def text(self) -> str:
        """What it printed. Raises AssertionError if it failed."""
        assert self.ok, self.failure
        return self.stdout.strip()

    def json(self) -> Any:
        """What it printed, for a command with `-o json`. Raises AssertionError if it failed."""
        return json.loads(self.text())


@dataclass(frozen=True, slots=True)
class Kubectl:
    """`home`: a folder of its own for the discovery cache, and so that no ~/.kube of the developer is read."""

    program: Path
    kubeconfig: Path
    home: Path

    def run(
        self, *args: str, stdin: str | None = None, kubeconfig: Path | None = None, limit: float = LIMIT
    ) -> Output:
        """Runs to its end, or for `limit` seconds; a failure is in the Output, not an exception."""
        # Not the caller's environment but for PATH: a proxy, KUBECONFIG or KUBECTL_* in it would be obeyed.
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
        }
        try:
            ran = subprocess.run(
                [self.program, *args],
                input="" if stdin is None else stdin,
                env=environment,
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Output(args, TIMED_OUT, "", f"not done after {limit:.0f} s")
        return Output(args, ran.returncode, ran.stdout, ran.stderr)

"""`llm-gateway-operator local FOLDER`: the folder's YAML rendered, a gateway started on it, every edit
applied.

The gateway is a child process that watches the rendered document. A folder with problems changes nothing:
the problems are printed and left beside the document for `GET /config`, and the gateway goes on with what it
has.
"""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from llm_gateway_config import refusal
from llm_gateway_config.document import Server
from llm_gateway_operator.announce import announcement, served
from llm_gateway_operator.child import Child
from llm_gateway_operator.plan import Plan, make_plan
from llm_gateway_operator.translate import Listen
from llm_gateway_operator.watch import Signature, changes, signature
from llm_gateway_operator.workspace import Workspace, private_folder, remove_abandoned

HOST = "127.0.0.1"

_READY_WITHIN = 15.0
_REFUSED = "the edit is refused, the gateway goes on with what it has:"
_INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C


@dataclass(frozen=True, slots=True)
class Options:
    """`port` and `metrics_port` None: the LLMGateway's, then the defaults. `env` also answers for Secrets."""

    folder: Path
    gateway: str | None
    port: int | None
    metrics_port: int | None
    env: Mapping[str, str]

    def plan(self) -> Plan:
        listen = Listen(host=HOST, port=self.port, metrics_port=self.metrics_port)
        return make_plan(self.folder, self.gateway, self.env, listen)


@dataclass(frozen=True, slots=True)
class _Ports:
    api: int
    metrics: int

    @classmethod
    def of(cls, plan: Plan) -> "_Ports":
        server = plan.translated.document.get("server", {}) if plan.translated else {}
        defaults = Server()
        return cls(server.get("port", defaults.port), server.get("metrics_port", defaults.metrics_port))


def run(options: Options) -> int:
    """Serve until told to stop; returns the exit code."""
    return asyncio.run(_run(options))


async def _run(options: Options) -> int:
    stop = _Stop()
    seen = signature(options.folder)  # before the first read: an edit during it is not missed
    plan = options.plan()
    ports = _Ports.of(plan)
    _tell(sys.stderr, [*plan.notes, *plan.problems, *_warnings(plan)])
    taken = None if plan.problems else _taken(ports)
    if plan.problems or taken:
        _tell(sys.stderr, [taken] if taken else [])
        return 1
    remove_abandoned()
    try:
        private = private_folder()
    except OSError as error:
        return _without_folder(error)
    with private as folder:
        edits = _Edits(options, plan, ports, Workspace(Path(folder)))
        try:
            edits.write(plan)
        except OSError as error:  # no room in it
            return _without_folder(error)
        child = await Child.start(edits.workspace.document, options.env)
        stop.forward_to(child)
        async with asyncio.TaskGroup() as tasks:
            serving = [
                tasks.create_task(edits.follow(seen)),
                tasks.create_task(_announce(plan, ports, child)),
            ]
            try:
                code = await child.exit_code()
            finally:
                child.kill()  # nothing to end, unless an error of this process brought us here
                for task in serving:
                    task.cancel()
    if child.killed_by is not None:
        guess = " (out of memory?)" if child.killed_by == signal.SIGKILL else ""
        _tell(sys.stderr, [f"the gateway was killed by signal {child.killed_by}{guess}"])
    return _INTERRUPTED if stop.signals > 1 else code


def _without_folder(error: OSError) -> int:
    _tell(sys.stderr, [f"no temporary folder to work in ({error.strerror or error}): set TMPDIR to one"])
    return 1


class _Stop:
    """The first signal asks the gateway to drain, the second ends it at once."""

    def __init__(self) -> None:
        self.signals = 0
        self._child: Child | None = None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                loop.add_signal_handler(number, self._on_signal)

    def forward_to(self, child: Child) -> None:
        """From now on; a signal that came before counts too."""
        self._child = child
        self._forward()

    def _on_signal(self) -> None:
        self.signals += 1
        self._forward()

    def _forward(self) -> None:
        if self._child is None or not self.signals:
            return
        if self.signals == 1:
            self._child.terminate()
        else:
            self._child.kill()


async def _announce(plan: Plan, ports: _Ports, child: Child) -> None:
    if await child.ready(ports.metrics, _READY_WITHIN):
        _tell(sys.stdout, announcement(plan, ports.api, ports.metrics))
    elif not child.ended:
        _tell(sys.stderr, [f"the gateway is not ready after {_READY_WITHIN:.0f} s; still trying"])


class _Edits:
    """Applies every edit of the folder to the workspace. `plan` is the one in force."""

    def __init__(self, options: Options, plan: Plan, ports: _Ports, workspace: Workspace) -> None:
        self.plan = plan
        self.workspace = workspace
        self._options = options
        self._ports = ports
        self._refused = False

    async def follow(self, seen: Signature | None) -> None:
        """Until cancelled. Edits count from the start, not only from when the gateway is ready."""
        async for _ in changes(self._options.folder, asyncio.Event(), seen):
            try:
                self._apply(self._options.plan())
            except OSError as error:  # no room in the temporary folder
                _tell(sys.stderr, [f"the edit cannot be passed on to the gateway: {error}"])

    def write(self, plan: Plan) -> None:
        if plan.translated is not None:
            self.workspace.write(plan.text, plan.translated.credentials)
        self.plan = plan

    def _apply(self, edited: Plan) -> None:
        if edited.problems:
            _tell(sys.stderr, [_REFUSED, *edited.problems])
            refusal.write(self.workspace.folder, edited.problems, time.time())
            self._refused = True
            return
        before = self.plan
        if edited.text != before.text:
            self.write(edited)
        refusal.clear(self.workspace.folder)
        if self._refused and edited.text == before.text:
            _tell(sys.stdout, ["mended: the folder says again what the gateway serves"])
        self._refused = False
        self._tell_difference(before, edited)

    def _tell_difference(self, before: Plan, now: Plan) -> None:
        _tell(sys.stderr, [warning for warning in _warnings(now) if warning not in _warnings(before)])
        if now.translated is None or now.text == before.text:
            return
        _tell(sys.stdout, [f"LLMGateway {now.gateway}: revision {now.translated.document['revision']}"])
        if before.translated is None or [*served(now.translated)] != [*served(before.translated)]:
            _tell(sys.stdout, served(now.translated))
        if _Ports.of(now) != self._ports:
            _tell(sys.stderr, [f"a new port takes a restart; the API stays on {self._ports.api}"])


def _warnings(plan: Plan) -> list[str]:
    return [f"warning: {warning}" for warning in plan.warnings]


def _taken(ports: _Ports) -> str | None:
    """Which port is in use, as one line.

    The gateway would say so too, but whoever has the port may be a gateway that answers the question for
    readiness.
    """
    for port, flag, variable in (
        (ports.api, "--port", "PORT"),
        (ports.metrics, "--metrics-port", "METRICS_PORT"),
    ):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                reason = (
                    "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
                )
                return f"port {port} on {HOST} {reason}: choose another with {flag} or {variable}"
    return None


def _tell(stream: TextIO, lines: Iterable[object]) -> None:
    # A reader that went away is no reason to stop serving.
    with contextlib.suppress(BrokenPipeError):
        for line in lines:
            print(line, file=stream)
        stream.flush()

"""`local` with a real gateway as its child: start, edits, refusals, signals."""

import errno
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from llm_gateway_operator.cli import main
from llm_gateway_testing.gateway import wait_for

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
START_LIMIT = 30.0  # seconds; a loaded machine takes its time
SLOW = "mock: {tokensPerSecond: 1, answerTokens: 1000}"


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


class Local:
    """A running `llm-gateway-operator local` on a copy of the quickstart."""

    def __init__(self, base: Path, **env: str) -> None:
        self.base = base
        self.folder = base / "quickstart"
        shutil.copytree(QUICKSTART, self.folder)
        (base / "tmp").mkdir()
        self.port, self.metrics_port = free_ports()
        self._env = env
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Local":
        ports = {"PORT": str(self.port), "METRICS_PORT": str(self.metrics_port)}
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(self.base / "tmp"), **ports, **self._env}
        with (self.base / "out").open("wb") as out, (self.base / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "llm_gateway_operator", "local", "quickstart"],
                cwd=self.base,
                env=environment,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
            )
        return self

    def until_announced(self) -> "Local":
        wait_for("the announcement", lambda: "Try it:" in self.out or not self.runs(), START_LIMIT)
        assert self.runs(), self.err
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def out(self) -> str:
        return (self.base / "out").read_text()

    @property
    def err(self) -> str:
        return (self.base / "err").read_text()

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def exit_code(self) -> int:
        assert self.process is not None
        return self.process.wait(START_LIMIT)

    def child(self) -> int:
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new))

    def config(self) -> dict[str, Any]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)) as connection:
            connection.request("GET", "/config")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer

    @contextmanager
    def post(self, body: object) -> Iterator[http.client.HTTPResponse]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            with connection.getresponse() as answer:
                yield answer

    def workspace(self) -> Path:
        return next((self.base / "tmp").glob("llm-gateway-*"))


@pytest.fixture(autouse=True)
def heard_interrupts() -> Iterator[None]:
    """What a shell runs in its background ignores SIGINT, and children inherit that; a handler they do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    local = Local(tmp_path)
    yield local
    if local.process is not None and local.runs():
        local.process.kill()  # its gateway follows
        local.process.wait()


def is_alive(pid: int) -> bool:
    try:
        # A zombie counts as ended: nobody may be there to reap it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_is_announced_works(local: Local) -> None:
    local.start().until_announced()
    line = next(line for line in local.out.splitlines() if line.strip().startswith("curl"))
    _, _, url, _, header, _, body = shlex.split(line)
    assert header == "Content-Type: application/json"
    assert (urlsplit(url).port, urlsplit(url).path) == (local.port, "/v1/chat/completions")
    with local.post(json.loads(body)) as answer:
        assert answer.status == 200
        assert json.loads(answer.read())["choices"][0]["message"]["content"] == "Hello!"
    assert f"revision {local.config()['revision']}" in local.out
    assert "provider openai is left out: no Secret llm-gateway/llm-gateway-secrets" in local.err


def test_an_edit_becomes_live(local: Local) -> None:
    local.start().until_announced()
    before = local.config()["revision"]
    local.edit("providers.yaml", "    - name: lorem\n", "    - name: ipsum\n")
    wait_for("the new revision", lambda: local.config()["revision"] != before)
    models = local.config()["config"]["providers"]["mock"]["models"]
    assert [model["name"] for model in models] == ["echo", "ipsum"]
    wait_for("the word about it", lambda: f"revision {local.config()['revision']}" in local.out)


def test_a_broken_edit_changes_nothing_and_is_told_everywhere(local: Local) -> None:
    local.start().until_announced()
    before = local.config()["revision"]
    line = (local.folder / "gateway.yaml").read_text().splitlines().index(
        "          - {provider: mock, model: echo, priority: 1}"
    ) + 1
    local.edit("gateway.yaml", "echo, priority: 1}", "echo, priority: 1, weight: -3}")
    expected = {
        "file": "quickstart/gateway.yaml",
        "line": line,
        "path": "spec.routing.models[0].targets[1].weight",
        "message": "must be 0 or more, is -3",
    }
    wait_for("the refusal", lambda: local.config()["refused"])
    config = local.config()
    assert config["refused"]["problems"] == [expected]
    assert config["revision"] == before
    assert f"{expected['file']}:{line}: {expected['path']}: {expected['message']}\n" in local.err

    local.edit("gateway.yaml", ", weight: -3}", "}")
    wait_for("the end of the refusal", lambda: local.config()["refused"] is None)
    assert local.config()["revision"] == before


def test_a_folder_that_vanishes_is_a_refusal_and_may_come_back(local: Local) -> None:
    local.start().until_announced()
    before = local.config()["revision"]
    local.folder.rename(local.base / "away")
    wait_for("the refusal", lambda: local.config()["refused"])
    assert local.config()["revision"] == before
    (local.base / "away").rename(local.folder)
    wait_for("the end of the refusal", lambda: local.config()["refused"] is None)


def test_a_secret_that_arrives_brings_its_provider(local: Local) -> None:
    local.start().until_announced()
    (local.folder / "secret.yaml").write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: llm-gateway-secrets, namespace: llm-gateway}\n"
        "stringData: {openai-api-key: sk-not-to-be-seen}\n"
    )
    wait_for("the provider", lambda: "openai" in local.config()["config"]["providers"])
    wait_for("the word about it", lambda: "key       openai: from Secret llm-gateway-secrets" in local.out)
    assert "sk-not-to-be-seen" not in local.out + local.err + json.dumps(local.config())
    (credential,) = local.workspace().glob("llm-gateway.*")
    assert credential.read_text() == "sk-not-to-be-seen"
    assert stat.S_IMODE(credential.stat().st_mode) == 0o600
    assert stat.S_IMODE(local.workspace().stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_both_in_order(local: Local, number: signal.Signals) -> None:
    local.start().until_announced()
    child = local.child()
    os.kill(local.pid, number)
    assert local.exit_code() == 0
    assert not is_alive(child)
    assert not list((local.base / "tmp").iterdir())
    assert "Traceback" not in local.err


def test_the_first_signal_lets_a_stream_go_on_and_the_second_ends_it(local: Local) -> None:
    local.edit("providers.yaml", "mock: {firstToken: 100ms, tokensPerSecond: 50, answerTokens: 32}", SLOW)
    local.start().until_announced()
    child = local.child()
    request = {"model": "lorem", "stream": True, "messages": [{"role": "user", "content": "go"}]}
    with local.post(request) as answer:
        assert answer.readline().startswith(b"data: ")
        os.kill(local.pid, signal.SIGINT)
        wait_for("the drain", lambda: "draining" in local.out)
        while b"content" not in answer.readline():  # the stream goes on
            pass
        assert local.runs()
        os.kill(local.pid, signal.SIGINT)
        assert local.exit_code() == 130
    assert not is_alive(child)


def test_the_gateway_does_not_outlive_a_parent_that_was_killed(local: Local) -> None:
    local.start().until_announced()
    child = local.child()
    os.kill(local.pid, signal.SIGKILL)
    wait_for("the end of the gateway", lambda: not is_alive(child))


def test_a_gateway_that_is_killed_is_told_of_in_one_line(local: Local) -> None:
    local.start().until_announced()
    os.kill(local.child(), signal.SIGKILL)
    assert local.exit_code() == 128 + signal.SIGKILL
    assert local.err.splitlines()[-1] == "the gateway was killed by signal 9 (out of memory?)"


def test_the_next_start_removes_the_keys_of_a_parent_that_was_killed(local: Local) -> None:
    local._env["OPENAI_API_KEY"] = "sk-left-behind"
    local.start().until_announced()
    child, abandoned = local.child(), local.workspace()
    os.kill(local.pid, signal.SIGKILL)
    local.exit_code()
    wait_for("the end of the gateway", lambda: not is_alive(child))
    assert "sk-left-behind" in [path.read_text() for path in abandoned.iterdir()]
    local.start().until_announced()
    assert not abandoned.exists()
    assert local.workspace().name.startswith(f"llm-gateway-{local.pid}-")


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [
        ("os.kill(os.getpid(), 11)", 139, ["the gateway was killed by signal 11"]),
        ("os._exit(137)", 137, []),
    ],
    ids=["a crash is no lack of memory", "an exit code above 128 is no signal"],
)
def test_what_ended_the_gateway_is_not_guessed(local: Local, ending: str, code: int, told: list[str]) -> None:
    broken = local.base / "broken" / "llm_gateway"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("")
    (broken / "__main__.py").write_text(f"import os\n{ending}\n")
    local._env["PYTHONPATH"] = str(broken.parent)
    local.start()
    assert local.exit_code() == code
    assert [line for line in local.err.splitlines() if not line.startswith("warning: ")] == told


def test_no_room_in_the_folder_to_work_in_is_one_line(
    local: Local, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(local.base / "tmp"))
    monkeypatch.setattr("llm_gateway_operator.workspace.Workspace.write", full)
    ports = ["--port", str(local.port), "--metrics-port", str(local.metrics_port)]
    assert main(["local", str(local.folder), *ports]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "no temporary folder to work in (No space left on device): set TMPDIR to one"
    )


def test_no_folder_to_work_in_is_one_line(
    local: Local, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.tempdir", str(local.base / "tmp"))
    monkeypatch.setattr("llm_gateway_operator.local.private_folder", nowhere)
    arguments = [
        "local",
        str(local.folder),
        "--port",
        str(local.port),
        "--metrics-port",
        str(local.metrics_port),
    ]
    assert main(arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "no temporary folder to work in (No usable temporary directory found in ['/tmp']): set TMPDIR to one"
    )


@pytest.mark.parametrize("which", ["PORT", "METRICS_PORT"])
def test_a_port_in_use_is_one_clear_line(local: Local, which: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", local.port if which == "PORT" else local.metrics_port))
        taken.listen()
        local.start()
        assert local.exit_code() == 1
        flag = "--" + which.lower().replace("_", "-")
        line = f"port {taken.getsockname()[1]} on 127.0.0.1 is in use: choose another with {flag} or {which}"
    assert [text for text in local.err.splitlines() if not text.startswith("warning: ")] == [line]
    assert local.out == ""


def test_a_gateway_that_cannot_start_gives_its_exit_code(local: Local) -> None:
    # The directory hides the real package from the child; -P keeps the rest of the path as it is.
    broken = local.base / "broken" / "llm_gateway"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("")
    (broken / "__main__.py").write_text("import sys\nsys.exit(7)\n")
    local._env["PYTHONPATH"] = str(broken.parent)
    local.start()
    assert local.exit_code() == 7
    assert not list((local.base / "tmp").iterdir())

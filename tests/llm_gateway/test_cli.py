"""The command `llm-gateway`: what it checks and prints, where its document is, what it says when it cannot start."""

import contextlib
import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from llm_gateway.cli import main
from llm_gateway.version import VERSION
from llm_gateway_config import GatewayConfig
from llm_gateway_testing.gateway import ANY_PORT, running, wait_for
from llm_gateway_testing.raw_client import RawClient, chat
from llm_gateway_testing.repository import ROOT

MOCK = "providers: {mock: {type: mock, models: [echo]}}\n"
EXAMPLE = ROOT / "examples" / "gateway.yaml"
VARIABLES = (
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "GATEWAY_CONFIG", "PORT", "METRICS_PORT", "LOG_LEVEL"),
    *("REDIS_URL", "CACHE_TTL"),
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    errors: str

    @property
    def lines(self) -> list[str]:
        """What it complained of."""
        return self.errors.splitlines()


Command = Callable[..., Ended]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("--validate", env={...})`, in a folder and a home that hold nothing else than the test wrote there."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in {"HOME": str(tmp_path), **(env or {})}.items():
            monkeypatch.setenv(name, value)
        try:
            code = main(list(arguments))
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Ended(code, *capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    return run


def process(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as a process that has to end by itself."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "llm_gateway", *arguments],
        cwd=folder,
        env={"HOME": str(folder), **(env or {})},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# --validate.

VALID: dict[str, tuple[str, list[str]]] = {
    "a small document": (MOCK, []),
    "the example without a key": (
        EXAMPLE.read_text(),
        [
            "warning: gateway.yaml:5: providers.openai.api_key: provider openai is left out: "
            "the variable OPENAI_API_KEY is not set"
        ],
    ),
}


@pytest.mark.parametrize(("text", "warnings"), VALID.values(), ids=VALID)
def test_a_valid_document(command: Command, text: str, warnings: list[str]) -> None:
    Path("gateway.yaml").write_text(text)
    ended = command("--validate", "--config", "gateway.yaml")
    assert ended.code == 0
    assert ended.out.startswith("gateway.yaml: valid, revision ")
    assert ended.lines == warnings


def test_with_a_key_the_example_leaves_nothing_out(command: Command) -> None:
    ended = command("--validate", "--config", str(EXAMPLE), env={"OPENAI_API_KEY": "sk-1"})
    assert (ended.code, ended.errors) == (0, "")


RESOURCE = "apiVersion: llmgateway.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: a}\nspec: {}\n"
TO_USE = "this is a custom resource; serve the folder with: llm-gateway-operator local FOLDER"

INVALID: dict[str, tuple[str, list[str]]] = {
    "an unknown field": (
        "providers: {mock: {type: mock, modles: [echo]}}",
        ["1: providers.mock.modles: unknown field (did you mean models?)"],
    ),
    "an unknown type": (
        "providers: {a: {type: opnai, models: [m]}}",
        [
            '1: providers.a.type: must be one of: openai, openai_compatible, mock; is "opnai" (did you mean openai?)'
        ],
    ),
    "all problems at once, by line": (
        "server: {port: 99999}\nproviders:\n  a: {type: openai_compatible, models: [m]}\n",
        [
            "1: server.port: must be 65535 or less, is 99999",
            "3: providers.a.base_url: is required for type openai_compatible",
        ],
    ),
    "a variable that is not set": (
        "server:\n  port: ${UNSET_OF_TEST}\n" + MOCK,
        [
            "2: server.port: the variable UNSET_OF_TEST is not set; ${UNSET_OF_TEST:-default} gives it a default"
        ],
    ),
    "a custom resource": (RESOURCE, [f"1: {TO_USE}"]),
    "a custom resource behind a comment": (f"# mine\n{RESOURCE}", [f"2: {TO_USE}"]),
    "several custom resources": (f"{RESOURCE}---\n{RESOURCE}", [f"1: {TO_USE}"]),
    "another object of Kubernetes": (
        "apiVersion: v1\nkind: Secret\n",
        ["1: this is a Kubernetes object, not a gateway.yaml"],
    ),
    "nothing at all": (
        "",
        ["1: holds nothing; examples/gateway.yaml shows what a document looks like"],
    ),
}


@pytest.mark.parametrize(("text", "problems"), INVALID.values(), ids=INVALID)
def test_an_invalid_document(command: Command, text: str, problems: list[str]) -> None:
    Path("gateway.yaml").write_text(text)
    ended = command("--validate", "--config", "gateway.yaml")
    assert (ended.code, ended.out) == (1, "")
    assert ended.lines == [f"llm-gateway: gateway.yaml:{problem}" for problem in problems]


def test_an_unknown_field_is_served_but_not_valid(command: Command) -> None:
    Path("gateway.yaml").write_text(MOCK + "polcies: {}\n")
    assert command("--show-config").code == 0
    assert command("--validate").code == 1


UNREADABLE: dict[str, tuple[str, str]] = {
    "no such file": ("nowhere.yaml", "nowhere.yaml: cannot be read: no such file or directory"),
    "a folder": (".", ".: cannot be read: is a directory"),
}


@pytest.mark.parametrize(("path", "complaint"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("options", [(), ("--validate",)], ids=["serve", "validate"])
def test_a_document_that_cannot_be_read(
    command: Command, path: str, complaint: str, options: tuple[str, ...]
) -> None:
    assert command("--config", path, *options) == Ended(1, "", f"llm-gateway: {complaint}\n")


def test_a_custom_resource_is_not_served_either(tmp_path: Path) -> None:
    for name in ("providers.yaml", "gateway.yaml"):
        ended = process(tmp_path, "--config", str(ROOT / "examples" / "quickstart" / name))
        assert (ended.returncode, ended.stdout) == (1, "")
        assert len(ended.stderr.splitlines()) == 1
        assert ended.stderr.endswith(f"{TO_USE}\n")


# What it prints.


def test_the_configuration_is_shown_without_its_secrets(command: Command) -> None:
    Path("key").write_text("secret-in-file")
    Path("gateway.yaml").write_text(
        """providers:
  one: {type: openai, api_key: secret-written, headers: {X-Key: secret-header, X-Team: "${TEAM}"}, models: [m]}
  two: {type: openai, api_key: "${KEY_OF_TWO}", models: [m]}
  three: {type: openai, api_key: {file: key}, models: [m]}
"""
    )
    ended = command("--show-config", env={"KEY_OF_TWO": "secret-of-environment", "TEAM": "secret-team"})
    assert (ended.code, ended.errors) == (0, "")
    assert "secret-" not in ended.out
    shown = yaml.safe_load(ended.out)
    assert shown["providers"]["one"]["api_key"] == "***"
    assert shown["providers"]["one"]["headers"] == {"X-Key": "***", "X-Team": "***"}
    assert shown["providers"]["two"]["api_key"] == "***"
    assert shown["server"]["port"] == 8080, "defaults are shown, too"
    Path("shown.yaml").write_text(ended.out)
    assert command("--validate", "--config", "shown.yaml").code == 0


def test_the_schema_is_json_of_the_document(command: Command) -> None:
    ended = command("schema", env={"GATEWAY_CONFIG": "nowhere.yaml", "PORT": "none"})
    assert (ended.code, ended.errors) == (0, "")
    schema = json.loads(ended.out)
    assert schema["type"] == "object"
    assert set(schema["properties"]) == set(GatewayConfig.model_fields)
    assert all("description" in field for field in schema["properties"].values())


def test_the_version(command: Command) -> None:
    assert command("--version") == Ended(0, f"llm-gateway {VERSION}\n", "")


@pytest.mark.parametrize("arguments", [("--prot", "1"), ("serve",), ("--config",)])
def test_wrong_usage(command: Command, arguments: tuple[str, ...]) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "usage: llm-gateway" in ended.errors


# Where the document comes from.


def test_without_any_configuration_it_says_what_to_do(tmp_path: Path) -> None:
    ended = process(tmp_path, env={"OPENAI_API_KEY": ""})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
    for hint in (
        *("--config", "$GATEWAY_CONFIG", "gateway.yaml", "/etc/llm-gateway/gateway.yaml"),
        *("OPENAI_API_KEY", "llm-gateway-operator local FOLDER"),
    ):
        assert hint in ended.stderr


def test_the_first_document_that_is_named_or_there_is_used(command: Command) -> None:
    def used(*arguments: str, env: Mapping[str, str] | None = None) -> str:
        ended = command("--validate", *arguments, env={"OPENAI_API_KEY": "sk-1", **(env or {})})
        assert ended.code == 0, ended.errors
        return ended.out.partition(": valid")[0]

    home = Path(".config/llm-gateway")
    home.mkdir(parents=True)
    assert used() == "environment"
    (home / "gateway.yaml").write_text(MOCK)
    assert used() == str(home.resolve() / "gateway.yaml")
    Path("gateway.yaml").write_text(MOCK)
    assert used() == "gateway.yaml"
    assert used(env={"GATEWAY_CONFIG": ""}) == "gateway.yaml"
    Path("named.yaml").write_text(MOCK)
    assert used(env={"GATEWAY_CONFIG": "named.yaml"}) == "named.yaml"
    Path("given.yaml").write_text(MOCK)
    assert used("--config", "given.yaml", env={"GATEWAY_CONFIG": "named.yaml"}) == "given.yaml"


def test_a_document_that_the_environment_names_must_be_there(command: Command) -> None:
    Path("gateway.yaml").write_text(MOCK)
    ended = command("--validate", env={"GATEWAY_CONFIG": "gone.yaml", "OPENAI_API_KEY": "sk-1"})
    assert ended.lines == ["llm-gateway: gone.yaml: cannot be read: no such file or directory"]
    assert ended.code == 1


def test_openai_itself_is_where_a_key_leads(command: Command) -> None:
    shown = yaml.safe_load(command("--show-config", env={"OPENAI_API_KEY": "sk-1"}).out)
    assert shown["providers"]["openai"]["base_url"] == "https://api.openai.com/v1"


# What the environment says over the document.

PORTS = "must be a port from 0 to 65535, is"
LEVELS = "must be one of: debug, info, warning, error; is"
BAD_VALUES: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "no number": ((), {"PORT": "http"}, f"PORT {PORTS} 'http'"),
    "too large": ((), {"PORT": "65536"}, f"PORT {PORTS} '65536'"),
    "negative": ((), {"PORT": "-1"}, f"PORT {PORTS} '-1'"),
    "digits of another script": ((), {"PORT": "٨٠"}, f"PORT {PORTS} '٨٠'"),
    "an address of Docker's links": (
        (),
        {"PORT": "tcp://10.0.0.1:80"},
        f"PORT {PORTS} 'tcp://10.0.0.1:80'",
    ),
    "the metrics port": ((), {"METRICS_PORT": "9090 "}, f"METRICS_PORT {PORTS} '9090 '"),
    "a flag": (("--port", "x"), {"PORT": "80"}, f"--port {PORTS} 'x'"),
    "an empty flag": (("--port", ""), {}, f"--port {PORTS} ''"),
    "the metrics port's flag": (("--metrics-port", "70000"), {}, f"--metrics-port {PORTS} '70000'"),
    "a level": ((), {"LOG_LEVEL": "loud"}, f"LOG_LEVEL {LEVELS} 'loud'"),
    "a level's flag": (("--log-level", "trace"), {"LOG_LEVEL": "info"}, f"--log-level {LEVELS} 'trace'"),
}


@pytest.mark.parametrize(("arguments", "env", "complaint"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_a_bad_setting_is_refused(
    command: Command, arguments: tuple[str, ...], env: dict[str, str], complaint: str
) -> None:
    Path("gateway.yaml").write_text(MOCK)
    assert command(*arguments, env=env) == Ended(1, "", f"llm-gateway: {complaint}\n")


def test_an_empty_variable_says_nothing(command: Command) -> None:
    Path("gateway.yaml").write_text(MOCK)
    ended = command("--validate", env={"PORT": "", "METRICS_PORT": "", "LOG_LEVEL": ""})
    assert ended.code == 0


@contextlib.contextmanager
def taken() -> Iterator[int]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free() -> int:
    with taken() as port:
        return port


IN_USE = {"port": "PORT or server.port", "metrics_port": "METRICS_PORT or server.metrics_port"}


@pytest.mark.parametrize(("field", "choices"), IN_USE.items(), ids=IN_USE)
def test_a_port_in_use_is_one_line(tmp_path: Path, field: str, choices: str) -> None:
    with taken() as port:
        ports = {"port": 0, "metrics_port": 0, field: port}
        (tmp_path / "gateway.yaml").write_text(f"server: {json.dumps(ports)}\n{MOCK}")
        ended = process(tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"llm-gateway: port {port} on 127.0.0.1 is in use; choose another with {choices}\n"


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), RawClient(port) as client:
        client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        return client.head().status == 200
    return False


def test_the_environment_wins_over_the_document(tmp_path: Path) -> None:
    """Its ports are in use, and it would log every request."""
    port, metrics_port = free(), free()
    models = "providers: {mock: {type: mock, models: [echo, fault-status-503]}}\n"
    with taken() as first, taken() as second:
        ports = f"server: {{port: {first}, metrics_port: {second}}}\n"
        level = "telemetry: {log: {level: debug}}\n"
        (tmp_path / "gateway.yaml").write_text(ports + level + models)
        env = {"PORT": str(port), "METRICS_PORT": str(metrics_port), "LOG_LEVEL": "ERROR"}
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "llm_gateway"],
            cwd=tmp_path,
            env={"HOME": str(tmp_path), **env},
            stdout=subprocess.PIPE,
            text=True,
        ) as gateway:
            try:
                wait_for("both ports", lambda: answers(port) and answers(metrics_port), 30)
                with RawClient(port) as client:
                    assert client.ask(chat("echo")).status == 200
                    assert client.ask(chat("fault-status-503")).status == 502
            finally:
                gateway.send_signal(signal.SIGTERM)
            out, _ = gateway.communicate(timeout=30)
    assert gateway.returncode == 0
    [line] = map(json.loads, out.splitlines())
    assert (line["level"], line["http_status"]) == ("ERROR", 502)


def test_a_flag_wins_over_the_environment(tmp_path: Path) -> None:
    with taken() as first, taken() as second:
        env = {"PORT": str(first), "METRICS_PORT": str(second), "LOG_LEVEL": "error"}
        flags = ("--port", "0", "--metrics-port", "0", "--log-level", "info")
        with running(tmp_path, MOCK, arguments=flags, env=env) as gateway:
            assert gateway.get("/health")[0] == 200
            assert gateway.get("/health", admin=True)[0] == 200
            assert {gateway.port, gateway.metrics_port}.isdisjoint({first, second})


@contextlib.contextmanager
def open_files(soft: int) -> Iterator[int]:
    """Processes that are started meanwhile begin with this soft limit; yields the hard one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_files_may_be_open_as_the_system_allows(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with open_files(512) as hard:
            gateway = stack.enter_context(running(tmp_path, ANY_PORT + MOCK))
        limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
        (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
        assert hard > 512
        assert line.split()[3:5] == [str(hard), str(hard)]


def test_an_open_door_is_warned_about(tmp_path: Path) -> None:
    with running(tmp_path, ANY_PORT + MOCK, arguments=("--host", "0.0.0.0")) as gateway:
        open_to_all = [line for line in gateway.lines() if "open to all" in line["message"]]
        assert [line["level"] for line in open_to_all] == ["WARNING"]

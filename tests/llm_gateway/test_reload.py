"""Edits of a running gateway's document: live at once, or refused whole; and what is in flight never notices."""

import asyncio
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_config import Problem, refusal
from llm_gateway_testing.background import upstream_in_background
from llm_gateway_testing.gateway import RunningGateway, running, wait_for
from llm_gateway_testing.held import Gate, held
from llm_gateway_testing.raw_client import Answer, RawClient, chat, exchange, request
from llm_gateway_testing.upstream import Behaviour, Peer, Upstream, answers
from llm_gateway_testing.upstream import chat as well_behaved

SERVER = "server: {port: 0, metrics_port: 0}\n"
DONE_AT_THE_END = b"data: [DONE]\n\n"


GATE = Gate()


async def fails_late(peer: Peer) -> bool:
    await GATE.passed()
    return await answers(500, b"{}")(peer)


BEHAVIOURS: dict[str, Behaviour] = {
    "plain": well_behaved(),
    "other": well_behaved("other"),
    "held": held(GATE),
    "fails-late": fails_late,
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with upstream_in_background(BEHAVIOURS) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def running_gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("reload"), document(upstream)) as gateway:
        yield gateway


@pytest.fixture
def gateway(running_gateway: RunningGateway, upstream: Upstream) -> RunningGateway:
    """The one gateway of this module, on the document that all tests begin with."""
    GATE.close()
    if running_gateway.path.is_file() and running_gateway.path.read_text() == document(upstream):
        return running_gateway
    applied(running_gateway, document(upstream, key=f"key-{next(SERIAL)}"))
    applied(running_gateway, document(upstream))
    return running_gateway


SERIAL = itertools.count()


def document(upstream: Upstream, *, model: str = "plain", key: str = "key-first", more: str = "") -> str:
    return f"""{SERVER}providers:
  up:
    type: openai_compatible
    base_url: {upstream.base_url}
    api_key: {key}
    models: [{{name: m, upstream_model: {model}}}, held, fails-late]
{more}"""


def applied(gateway: RunningGateway, text: str) -> float:
    """Make `text` the document; returns the seconds until it was in force."""
    before = gateway.config()["revision"]
    begun = time.monotonic()
    gateway.edit(text)
    wait_for("the edit to be in force", lambda: gateway.config()["revision"] != before)
    return time.monotonic() - begun


def ask(gateway: RunningGateway, model: str = "m") -> Answer:
    with RawClient(gateway.port) as client:
        return client.ask(chat(model))


def content(answer: Answer) -> str:
    text: str = answer.json["choices"][0]["message"]["content"]
    return text


def reloads(gateway: RunningGateway, result: str) -> float:
    return gateway.metric("llm_gateway_config_reloads_total", result=result)


def test_an_edit_is_live_at_once(gateway: RunningGateway, upstream: Upstream) -> None:
    counted = reloads(gateway, "applied")
    assert content(ask(gateway)) == "hello"
    took = applied(gateway, document(upstream, model="other"))
    print(f"an edit was live after {took:.3f} s")
    assert took < 5
    assert content(ask(gateway)) == "other"
    assert reloads(gateway, "applied") == counted + 1
    revision = gateway.config()["revision"]
    assert gateway.metric("llm_gateway_config_info", revision=revision) == 1
    assert gateway.metric("llm_gateway_config_info") == 1, "no earlier revision is shown as in force"


def test_a_broken_edit_changes_nothing_until_it_is_mended(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    before = gateway.config()
    counted = reloads(gateway, "refused")
    broken = document(
        upstream, more="routing:\n  models:\n    c:\n      targets: [{provider: up, model: m, weight: -3}]\n"
    )
    gateway.edit(broken)
    refused = wait_for("the refusal", lambda: gateway.config()["refused"])
    [problem] = refused["problems"]
    assert problem == {
        "file": str(gateway.path),
        "line": broken.splitlines().index("      targets: [{provider: up, model: m, weight: -3}]") + 1,
        "path": "routing.models.c.targets[0].weight",
        "message": "must be 0 or more, is -3",
    }
    assert refused["revision"]
    assert abs(refused["at"] - time.time()) < 60
    assert reloads(gateway, "refused") == counted + 1
    now = gateway.config()
    assert (now["revision"], now["config"]) == (before["revision"], before["config"])
    assert content(ask(gateway)) == "hello"
    wait_for(
        "the message in the log",
        lambda: any(problem["message"] in line["message"] for line in gateway.lines()),
    )

    applied(gateway, document(upstream, model="other"))
    assert gateway.config()["refused"] is None
    assert content(ask(gateway)) == "other"


def test_the_same_document_again_mends_a_broken_edit(gateway: RunningGateway, upstream: Upstream) -> None:
    gateway.edit("providers: [")
    wait_for("the refusal", lambda: gateway.config()["refused"])
    gateway.edit(document(upstream))
    wait_for("the refusal to go", lambda: gateway.config()["refused"] is None)


def test_a_deleted_document_is_refused_and_may_come_back(gateway: RunningGateway, upstream: Upstream) -> None:
    revision = gateway.config()["revision"]
    gateway.path.unlink()
    refused = wait_for("the refusal", lambda: gateway.config()["refused"])
    assert "no such file" in refused["problems"][0]["message"]
    assert gateway.config()["revision"] == revision
    assert content(ask(gateway)) == "hello"
    gateway.edit(document(upstream, model="other"))
    wait_for("the refusal to go", lambda: gateway.config()["refused"] is None)
    assert content(ask(gateway)) == "other"


def test_the_note_of_a_renderer_is_shown_as_a_refusal(gateway: RunningGateway) -> None:
    counted = reloads(gateway, "refused")
    problem = Problem("folder/provider.yaml", 7, "spec.type", "must be a known type")
    refusal.write(gateway.folder, [problem], at=1234.5)
    try:
        refused = wait_for("the note", lambda: gateway.config()["refused"])
        assert refused["at"] == 1234.5
        assert refused["problems"] == [
            {
                "file": "folder/provider.yaml",
                "line": 7,
                "path": "spec.type",
                "message": "must be a known type",
            }
        ]
        assert reloads(gateway, "refused") == counted + 1
        assert content(ask(gateway)) == "hello"
    finally:
        refusal.clear(gateway.folder)
    wait_for("the note to go", lambda: gateway.config()["refused"] is None)


def test_a_note_that_is_none_is_left_alone(gateway: RunningGateway, upstream: Upstream) -> None:
    (gateway.folder / refusal.NAME).write_text("{not a note")
    try:
        applied(gateway, document(upstream, model="other"))
        assert gateway.config()["refused"] is None
    finally:
        refusal.clear(gateway.folder)


def test_what_needs_a_restart_is_said(gateway: RunningGateway, upstream: Upstream) -> None:
    assert gateway.config()["restart_required"] == []
    other = document(upstream).replace(
        "port: 0, metrics_port: 0", "port: 18080, metrics_port: 0, host: 0.0.0.0"
    )
    applied(gateway, other)
    assert gateway.config()["restart_required"] == ["server.host", "server.port"]
    assert ask(gateway).status == 200, "it goes on where it was"
    applied(gateway, document(upstream))
    assert gateway.config()["restart_required"] == []


def test_limits_change_with_the_document(gateway: RunningGateway, upstream: Upstream) -> None:
    """On both ways a request may take: the second spelling is one that only aiohttp reads."""
    body = chat("m", "x" * 3000)
    small = document(upstream).replace(
        "port: 0,", "port: 0, max_request_body_size: 2KB, max_header_size: 2KB,", 1
    )
    with RawClient(gateway.port) as hot, RawClient(gateway.port) as stock:
        assert [hot.ask(body).status, stock.ask(body, Origin="http://a").status] == [200, 200]
        assert hot.ask(chat("m"), X_Long="y" * 3000).status == 200
        applied(gateway, small)
        assert [hot.ask(body).status, stock.ask(body, Origin="http://a").status] == [413, 413]
    with RawClient(gateway.port) as client:
        assert client.ask(chat("m"), X_Long="y" * 3000).status == 400


def test_the_level_of_the_log_changes_with_the_document(gateway: RunningGateway, upstream: Upstream) -> None:
    def ask_as(request_id: str) -> None:
        with RawClient(gateway.port) as client:
            assert client.ask(chat("m"), X_Request_ID=request_id).status == 200

    ask_as("before")
    applied(gateway, document(upstream, more="telemetry: {log: {level: error}}\n"))
    ask_as("while-silent")
    applied(gateway, document(upstream))
    ask_as("after")
    gateway.request("after")  # the lines before it are written by then
    ids = [line["request_id"] for line in gateway.requests()]
    assert ids[-2:] == ["before", "after"]


def test_the_environment_keeps_its_word_on_the_level(tmp_path: Path) -> None:
    text = SERVER + "providers: {mock: {type: mock, models: [%s]}}\ntelemetry: {log: {level: %s}}\n"
    with running(tmp_path, text % ("echo", "error"), env={"LOG_LEVEL": "info"}) as gateway:
        applied(gateway, text % ("lorem", "error"))
        with RawClient(gateway.port) as client:
            assert client.ask(chat("lorem"), X_Request_ID="kept").status == 200
        assert gateway.request("kept")["status"] == "success"


# What is in flight.


def test_a_stream_ends_on_the_document_it_began_with(gateway: RunningGateway, upstream: Upstream) -> None:
    applied(gateway, document(upstream, model="held"))
    with RawClient(gateway.port) as client:
        client.send(request(chat("m", stream=True), X_Request_ID="old-stream"))
        assert client.head().status == 200
        chunks = client.chunks()
        next(chunks)
        # Its model leads elsewhere now, its key is another one, and its provider's pool is gone.
        applied(gateway, document(upstream, model="other", key="key-second"))
        assert content(ask(gateway)) == "other"
        GATE.open()
        rest = b"".join(chunks)
        assert rest.endswith(DONE_AT_THE_END)
        assert b"ended" in rest
    line = gateway.request("old-stream")
    assert (line["status"], line["target_model"], line.get("interrupted")) == ("success", "m", None)


def test_failover_in_flight_goes_by_the_old_document(gateway: RunningGateway, upstream: Upstream) -> None:
    """The second target is deleted while the first one still keeps the request waiting."""
    routed = """routing:
  models:
    both:
      targets: [{provider: up, model: fails-late}, {provider: spare, model: plain, priority: 1}]
"""
    spare = f"  spare: {{type: openai_compatible, base_url: '{upstream.base_url}', models: [plain]}}\n"
    applied(gateway, document(upstream, more=spare + routed))
    with RawClient(gateway.port) as client:
        client.send(request(chat("both"), X_Request_ID="old-route"))
        wait_for("the first target", lambda: any(r.json["model"] == "fails-late" for r in upstream.requests))
        applied(gateway, document(upstream))
        GATE.open()
        assert content(client.answer()) == "hello"
    line = gateway.request("old-route")
    assert (line["provider"], line["attempts"], line["status"]) == ("spare", 2, "success")
    assert ask(gateway, "both").status == 404


async def test_fifty_swaps_under_load_cost_nothing(gateway: RunningGateway, upstream: Upstream) -> None:
    """500 requests and 100 streams are in flight all the while; others come and go between the swaps."""
    before = gateway.metric("llm_gateway_requests_total", status="success")
    earlier = held_by(upstream)
    whole = [asyncio.create_task(exchange(gateway.port, request(chat("held")))) for _ in range(500)]
    streams = [
        asyncio.create_task(exchange(gateway.port, request(chat("held", stream=True)))) for _ in range(100)
    ]
    await until("all to be in flight", lambda: gateway.metric("llm_gateway_open_streams") == 100)
    await until("all to be in flight", lambda: held_by(upstream) == earlier + 600)

    stop = asyncio.Event()
    coming = [asyncio.create_task(keep_asking(gateway.port, stop)) for _ in range(4)]
    counted = reloads(gateway, "applied")
    for number in range(50):
        # Three keys: pools come and go as well.
        text = document(upstream, model=("plain", "other")[number % 2], key=f"key-{number % 3}")
        await asyncio.to_thread(applied, gateway, f"# {number}\n{text}")
    assert await asyncio.to_thread(reloads, gateway, "applied") >= counted + 50
    assert not any(task.done() for task in (*whole, *streams)), "they were in flight over all swaps"
    stop.set()
    GATE.open()

    came = sum(await asyncio.gather(*coming))
    assert came >= 50
    for answer in await asyncio.gather(*whole):
        assert (answer.status, content(answer)) == (200, "held")
    for answer in await asyncio.gather(*streams):
        assert answer.status == 200
        assert b" ended" in answer.body
        assert answer.body.endswith(DONE_AT_THE_END)
        assert b'"error"' not in answer.body
    await until("all to be settled", lambda: gateway.metric("llm_gateway_open_streams") == 0)
    after = await asyncio.to_thread(gateway.metric, "llm_gateway_requests_total", status="success")
    assert after - before == 600 + came
    assert await asyncio.to_thread(gateway.metric, "llm_gateway_requests_total", status="error") == 0
    assert await asyncio.to_thread(gateway.metric, "llm_gateway_interrupted_streams_total") == 0


def held_by(upstream: Upstream) -> int:
    return sum(each.json["model"] == "held" for each in list(upstream.requests))


async def until(what: str, probe: Callable[[], Any]) -> None:
    """As `wait_for`, of a test whose own event loop has work to do meanwhile."""
    await asyncio.to_thread(wait_for, what, probe, 30.0)


async def keep_asking(port: int, stop: asyncio.Event) -> int:
    asked = 0
    while not stop.is_set():
        answer = await exchange(port, request(chat("m", stream=bool(asked % 2))))
        assert answer.status == 200
        assert b'"error"' not in answer.body
        asked += 1
    return asked


# Credentials.


@pytest.fixture
def counted_upstream() -> Iterator[Upstream]:
    """One that no other gateway has connections to."""
    with upstream_in_background(BEHAVIOURS) as upstream:
        yield upstream


def keyed(upstream: Upstream) -> str:
    return f"""{SERVER}providers:
  up: {{type: openai_compatible, base_url: '{upstream.base_url}', api_key: {{file: key}}, models: [plain, held]}}
  mock: {{type: mock, models: [echo]}}
"""


def put(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def key_of_last(upstream: Upstream) -> str:
    return upstream.requests[-1].headers.get("authorization", "")


def test_a_rotated_key_is_used_by_the_next_call_on_a_new_connection(
    tmp_path: Path, counted_upstream: Upstream
) -> None:
    upstream = counted_upstream
    put(tmp_path / "key", "secret-one\n")
    with running(tmp_path, keyed(upstream)) as gateway:
        GATE.close()
        for _ in range(2):
            assert ask(gateway, "plain").status == 200
        assert key_of_last(upstream) == "Bearer secret-one"
        assert upstream.connections == 1
        with RawClient(gateway.port) as client:
            client.send(request(chat("held", stream=True)))
            assert client.head().status == 200

            before = gateway.config()["revision"]
            put(tmp_path / "key", "secret-two\n")
            wait_for("the new key", lambda: gateway.config()["revision"] != before)
            assert ask(gateway, "plain").status == 200
            assert key_of_last(upstream) == "Bearer secret-two"
            assert upstream.connections == 2, "the stream keeps its own, the new key has a new one"
            GATE.open()
            assert b"".join(client.chunks()).endswith(DONE_AT_THE_END)
        wait_for("the connection with the old key to close", lambda: upstream.open == 1)
        assert ask(gateway, "plain").status == 200
        assert upstream.connections == 2
        assert "secret" not in str(gateway.config()) + str(gateway.lines())


def test_a_key_that_comes_later_brings_its_provider(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, keyed(upstream)) as gateway:
        assert "no such file" in gateway.config()["left_out"]["up"]
        assert ask(gateway, "plain").status == 404
        assert ask(gateway, "echo").status == 200
        put(tmp_path / "key", "secret-late\n")
        wait_for("the provider", lambda: not gateway.config()["left_out"])
        assert ask(gateway, "plain").status == 200
        assert key_of_last(upstream) == "Bearer secret-late"
        (tmp_path / "key").unlink()
        wait_for("the provider to go", lambda: gateway.config()["left_out"])
        assert ask(gateway, "plain").status == 404
        assert ask(gateway, "echo").status == 200


def test_a_volume_of_kubernetes_is_swapped_whole(tmp_path: Path, upstream: Upstream) -> None:
    """The kubelet writes a new folder and lets the symbolic link `..data`, through which all files go, lead there."""

    def publish(name: str, text: str, key: str) -> None:
        fresh = tmp_path / name
        (fresh / "keys").mkdir(parents=True)
        (fresh / "gateway.yaml").write_text(text)
        (fresh / "keys" / "up").write_text(key)
        old = os.readlink(tmp_path / "..data") if (tmp_path / "..data").exists() else None
        (tmp_path / "..data_tmp").symlink_to(name)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        if old is not None:
            shutil.rmtree(tmp_path / old)

    def text(model: str) -> str:
        return keyed(upstream).replace("file: key", "file: keys/up").replace("[plain, held]", f"[{model}]")

    publish("..2026_1", text("plain"), "key-one")
    for name in ("gateway.yaml", "keys"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    with running(tmp_path, text("plain")) as gateway:
        for number, model in enumerate(("other", "plain", "other"), 2):
            before = gateway.config()["revision"]
            begun = time.monotonic()
            publish(f"..2026_{number}", text(model), f"key-{number}")
            wait_for("the swap", lambda before=before: gateway.config()["revision"] != before)  # type: ignore[misc]
            assert time.monotonic() - begun < 5
            assert ask(gateway, model).status == 200
            assert key_of_last(upstream) == f"Bearer key-{number}"
        assert gateway.config()["refused"] is None
        assert reloads(gateway, "refused") == 0

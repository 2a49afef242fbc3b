"""A soak: mixed load on a real gateway, and afterwards nothing of it is left, neither memory nor sockets nor files.

The load lasts SOAK_SECONDS (20 if the environment does not say, so that all tests together stay bearable);
`make soak` runs it for 120 s. All that could pile up is new each time: request ids, unknown models, revisions, keys.
"""

import asyncio
import contextlib
import gc
import itertools
import os
import random
import socket
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llm_gateway.attempt import Attempt
from llm_gateway.call import Call
from llm_gateway_testing.client import Answer, chat_body, opened, request, send
from llm_gateway_testing.faults import BEFORE_CONTENT, KEY, MIDWAY, PROVIDERS, WHOLE, slug
from llm_gateway_testing.gateway import RunningGateway, running, wait_for
from llm_gateway_testing.inprocess import InProcess
from llm_gateway_testing.upstream import SSE_HEAD, Behaviour, Peer, Upstream, chat, event

SECONDS = float(os.environ.get("SOAK_SECONDS", "20"))
WARM_UP = min(SECONDS / 2, 15.0)  # seconds; threads start, caches fill, the collector finds its rhythm
CLIENTS = 32
PATIENCE = 15.0  # seconds for all to be closed; what lingers does so for 5
KEEP_ALIVE = 2  # seconds; then the gateway closes connections that are idle

# Bytes of growth from the warm-up to the end of the load, by the line that fits the samples best; without any leak it
# comes to 3 MB at times. In 20 s that finds a leak of about 1 KB a request, in 120 s one of about 150 bytes.
MOST = 5_000_000
# Large bodies go back to the system when they are freed: what malloc keeps of them looks like a leak, or hides one.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}

ALONE = {(slug(name), True): fault for name, fault in BEFORE_CONTENT.items() if fault.provider != "full"}
ALONE |= {(slug(name), False): fault for name, fault in WHOLE.items() if fault.provider != "full"}
BROKEN = {f"midway-{slug(name)}": fault for name, fault in MIDWAY.items()}
SPARE = "+spare"
FLOOD = event({"content": "x" * 64_000})


async def flood(peer: Peer) -> bool:
    await peer.send(SSE_HEAD)
    while True:
        await peer.chunk(FLOOD)


def behaviours() -> dict[str, Behaviour]:
    found: dict[str, Behaviour] = {"good": chat("all is well"), "long": chat("all is well " * 20, pause=0.02)}
    found |= {model: fault.behave for (model, _), fault in ALONE.items()}
    return found | {model: fault.behave for model, fault in BROKEN.items()} | {"flood": flood}


def document(urls: Mapping[str, str], serial: int) -> str:
    """Each serial is another revision, whose key leads to other pools."""
    served: dict[str, dict[str, None]] = {provider: {} for provider in PROVIDERS if provider != "full"}
    served["plain"] = dict.fromkeys(("good", "long", "flood"))
    faults = {model: fault.provider for (model, _), fault in ALONE.items()}
    for model, provider in (faults | {model: fault.provider for model, fault in BROKEN.items()}).items():
        served[provider][model] = None
    lines = [
        f"server: {{port: 0, metrics_port: 0, keep_alive_timeout: {KEEP_ALIVE}s, max_response_body_size: 1MB}}",
        "providers:",
        "  mock: {type: mock, models: [echo, lorem, fault-cut, fault-status-503]}",
    ]
    for provider, models in served.items():
        lines.append(
            f"  {provider}: {{type: openai_compatible, base_url: {urls.get(provider, urls['plain'])!r},"
            f" api_key: {KEY}-{serial}, timeouts: {PROVIDERS[provider]}, models: {list(models)}}}"
        )
    lines += ["routing:", "  models:"]
    for model, provider in faults.items():
        first = f"{{provider: {provider}, model: {model!r}}}"
        lines.append(
            f"    {model + SPARE!r}: {{targets: [{first}, {{provider: plain, model: good, priority: 1}}]}}"
        )
    return "\n".join(lines) + "\n"


@dataclass
class Load:
    """Clients of all kinds until `end` (of time.monotonic); each looks at what it gets. `done`: how often what was."""

    port: int
    end: float
    done: Counter[str] = field(default_factory=Counter)
    serial: "itertools.count[int]" = field(default_factory=itertools.count)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self._client(random.Random(number)))

    async def _client(self, rng: random.Random) -> None:
        sentences = list(ACTIONS)
        weights = [weight for weight, _ in ACTIONS.values()]
        while time.monotonic() < self.end:
            [sentence] = rng.choices(sentences, weights)
            await ACTIONS[sentence][1](self, rng)
            self.done[sentence] += 1

    def request(self, model: str, stream: bool, headers: bytes = b"") -> bytes:
        return request(
            chat_body(model, stream=stream), b"X-Request-ID: soak-%d\r\n" % next(self.serial) + headers
        )

    async def ask(self, model: str, stream: bool) -> Answer:
        return await send(self.port, self.request(model, stream))


# What clients do.


async def is_answered(load: Load, rng: random.Random) -> None:
    """Several requests on one connection, the later ones read by aiohttp."""
    async with opened(load.port, b"") as call:
        for headers in (b"", b"", b"Origin: http://a\r\n", b""):
            stream = rng.random() < 0.7
            model = rng.choice(("good", "lorem", "echo"))
            call.writer.write(load.request(model, stream, headers))
            answer = await call.answer()
            assert answer.status == 200, answer.body
            assert not stream or answer.done
        call.writer.write(request(b"", method="GET", path="/v1/models"))
        assert (await call.answer()).status == 200


async def leaves_a_stream(load: Load, rng: random.Random) -> None:
    async with opened(load.port, load.request(rng.choice(("long", "lorem")), True)) as call:
        if rng.random() < 0.8:
            assert (await call.head())[0] == 200
            await call.until(b"assistant")


async def leaves_unread(load: Load, rng: random.Random) -> None:
    async with opened(load.port, load.request("flood", True)) as call:
        await call.head()
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typed as one for writing
        await asyncio.sleep(rng.random() / 2)


async def leaves_half_a_request(load: Load, rng: random.Random) -> None:
    data = load.request("good", False, rng.choice((b"", b"Origin: http://a\r\n")))
    async with opened(load.port, data[: rng.randrange(1, len(data))]):
        await asyncio.sleep(rng.random() / 10)


async def meets_a_fault(load: Load, rng: random.Random) -> None:
    (model, stream), fault = rng.choice(list(ALONE.items()))
    assert (await load.ask(model, stream)).status == fault.status, model


async def meets_a_fault_of_the_mock(load: Load, rng: random.Random) -> None:
    assert (await load.ask("fault-status-503", rng.random() < 0.5)).status == 502
    assert (await load.ask("fault-cut", True)).error["type"] == "provider_error"


async def meets_a_fault_midway(load: Load, rng: random.Random) -> None:
    """Or before its first content, when the fault comes in one piece with it."""
    assert (await load.ask(rng.choice(list(BROKEN)), True)).error["type"] == "provider_error"


async def is_answered_by_another_target(load: Load, rng: random.Random) -> None:
    model, stream = rng.choice(list(ALONE))
    assert (await load.ask(model + SPARE, stream)).status == 200, model


async def asks_for_what_is_not_there(load: Load, rng: random.Random) -> None:
    assert (await load.ask(f"unknown-{next(load.serial)}", rng.random() < 0.5)).status == 404
    path = f"/v1/models/unknown-{next(load.serial)}"
    assert (await send(load.port, request(b"", method="GET", path=path))).status == 404


async def asks_badly(load: Load, rng: random.Random) -> None:
    bad = (
        request(b'{"model": "good", "messages": ['),
        request(b"{}"),
        request(b"{}", b"Content-Length: 3\r\n"),
        b"what is this?\r\n\r\n",
        b"GET /v1/models HTTP/1.1\nHost: a\n\n",
    )
    assert (await send(load.port, rng.choice(bad))).status == 400


async def is_idle(load: Load, rng: random.Random) -> None:
    before = rng.choice((b"", load.request("good", False)))
    async with opened(load.port, before) as call:
        if before:
            assert (await call.answer()).status == 200
        if rng.random() < 0.5:
            assert await call.reader.read() == b"", "the gateway closes it"
        else:
            await asyncio.sleep(rng.random() * KEEP_ALIVE / 2)


Action = Callable[[Load, random.Random], Awaitable[None]]
ACTIONS: dict[str, tuple[int, Action]] = {
    "is answered": (20, is_answered),
    "leaves a stream": (20, leaves_a_stream),
    "leaves without reading": (3, leaves_unread),
    "leaves half a request": (10, leaves_half_a_request),
    "meets a fault": (20, meets_a_fault),
    "meets a fault of the mock": (10, meets_a_fault_of_the_mock),
    "meets a fault midway": (20, meets_a_fault_midway),
    "is answered by another target": (20, is_answered_by_another_target),
    "asks for what is not there": (20, asks_for_what_is_not_there),
    "asks badly": (20, asks_badly),
    "is idle": (4, is_idle),
}


# What is watched.


async def edit(gateway: RunningGateway, urls: Mapping[str, str]) -> None:
    """Another document every second, every fifth of them broken. Until cancelled."""
    for serial in itertools.count(1):
        await asyncio.sleep(1.0)
        gateway.edit(document(urls, serial) + ("routing: 3\n" if serial % 5 == 0 else ""))


async def sample(gateway: RunningGateway, samples: list[tuple[float, int]]) -> None:
    """Moments and resident memory. Until cancelled."""
    while True:
        samples.append((time.monotonic(), gateway.rss()))
        await asyncio.sleep(0.2)


def growth(samples: list[tuple[float, int]]) -> float:
    """Bytes from the first sample to the last one, by the line that fits all of them best."""
    times = [moment for moment, _ in samples]
    line = statistics.linear_regression(times, [size for _, size in samples])
    return line.slope * (times[-1] - times[0])


def apply(gateway: RunningGateway, text: str) -> None:
    before = gateway.config()["revision"]
    gateway.edit(text)
    wait_for("the edit to be in force", lambda: gateway.config()["revision"] != before)


def files(gateway: RunningGateway) -> Counter[str]:
    """What is open, by kind."""
    found: Counter[str] = Counter()
    for each in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found[os.readlink(each).partition(":[")[0]] += 1
    return found


def left(gateway: RunningGateway, upstream: Upstream, before: Counter[str]) -> dict[str, object]:
    """What is still open that was not before the load."""
    names = ("llm_gateway_open_streams", "llm_gateway_open_connections")
    found: dict[str, object] = {name: gateway.metric(name) for name in names}
    found |= {"connections of the upstream": upstream.open, **(files(gateway) - before)}
    return {what: much for what, much in found.items() if much}


def left_at_last(gateway: RunningGateway, upstream: Upstream, before: Counter[str]) -> dict[str, object]:
    end = time.monotonic() + PATIENCE
    while (found := left(gateway, upstream, before)) and time.monotonic() < end:
        time.sleep(0.1)
    return found


async def soak(gateway: RunningGateway, urls: Mapping[str, str]) -> list[tuple[float, int]]:
    """Samples from the end of the warm-up to the end of the load."""
    begun = time.monotonic()
    load = Load(gateway.port, begun + SECONDS)
    samples: list[tuple[float, int]] = []
    beside = [asyncio.create_task(edit(gateway, urls)), asyncio.create_task(sample(gateway, samples))]
    try:
        await load.run()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    print(f"{load.done.total()} visits: {dict(load.done)}")
    assert load.done.keys() == ACTIONS.keys()
    return [each for each in samples if begun + WARM_UP < each[0] < load.end]


async def test_nothing_is_left_of_a_long_mixed_load(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        async with Upstream(behaviours()) as upstream:
            upstream.go_on.set()
            urls = {"plain": upstream.base_url, "closed": f"http://127.0.0.1:{closed.getsockname()[1]}/v1"}
            with running(tmp_path, document(urls, 0), env=MALLOC) as gateway:
                await check(gateway, upstream, urls)


async def check(gateway: RunningGateway, upstream: Upstream, urls: Mapping[str, str]) -> None:
    for serial in (-1, -2):
        apply(gateway, document(urls, serial))  # the watcher of the document has its files open by now
    before = files(gateway)

    samples = await soak(gateway, urls)

    apply(gateway, document(urls, -3))  # its key is another one, so the idle connections to the upstream go
    assert await asyncio.to_thread(left_at_last, gateway, upstream, before) == {}
    print(
        f"memory: {samples[0][1] / 1e6:.1f} MB, then {samples[-1][1] / 1e6:.1f} MB; {growth(samples):.0f} bytes more"
    )
    assert growth(samples) < MOST
    for result in ("applied", "refused"):
        assert gateway.metric("llm_gateway_config_reloads_total", result=result) >= SECONDS / 10
    assert gateway.stop() == 0
    assert gateway.errors() == ""
    assert [line for line in gateway.lines() if is_unexpected(line)] == []


def is_unexpected(line: Mapping[str, Any]) -> bool:
    """Faults and refused documents are logged as errors, too, but not with these words."""
    text = str(line)
    return "unexpected error" in text or "Traceback" in text or line.get("code") == "server_error"


# Without the collector.

FAULTS = ("status-503", "status-400", "html", "empty", "error-event", "malformed", "cut", "reset", "refuse")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failed_request_is_freed_when_it_ends(fault: str, stream: bool) -> None:
    """Were it a cycle, the bytes of hundreds of them would wait for the collector."""
    server = InProcess("providers: {mock: {type: mock, open_models: {}}}\n")
    client = server.connect()
    gc.disable()
    gc.freeze()  # what was there before is left out of get_objects
    try:
        client.feed(request(chat_body(f"mock/fault-{fault}", stream=stream)))
        answer = await client.answer()
        assert answer.error["type"]
        await client.settled()
        assert [each for each in gc.get_objects() if isinstance(each, Attempt | Call)] == []
    finally:
        gc.unfreeze()
        gc.enable()
    assert [record.attempts for record in server.records] == [1]

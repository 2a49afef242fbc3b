"""What passes through a real gateway and what does not: headers both ways, request ids, the bytes of bodies."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from llm_gateway_testing.client import Answer, chat_body, request, send
from llm_gateway_testing.gateway import ANY_PORT
from llm_gateway_testing.relay import Relay, relaying
from llm_gateway_testing.upstream import (
    DONE,
    END,
    ROLE,
    SSE_HEAD,
    STOP,
    Behaviour,
    Peer,
    Upstream,
    answers,
    chat,
    completion,
    framed,
    words,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = """
providers:
  plain:
    type: openai_compatible
    base_url: "{url}"
    api_key: sk-of-the-provider
    models: [same, {{name: renamed, upstream_model: "the \\"other\\" name"}}, telling, telling-badly]
  keyless: {{type: openai_compatible, base_url: "{url}/", models: [{{name: keyless, upstream_model: same}}]}}
  full:
    type: openai
    base_url: "{url}"
    api_key: sk-of-the-provider
    organization: org-ours
    headers: {{X-Team: blue, User-Agent: ours/1}}
    models: [{{name: full, upstream_model: same}}]
  frugal:
    type: openai_compatible
    base_url: "{url}"
    stream_usage: false
    models: [{{name: frugal, upstream_model: same}}]
"""

# Headers of a client that no provider may see, and those that pass.
KEPT = (
    b"Authorization: Bearer sk-of-the-client\r\nCookie: session=1\r\nX-Api-Key: sk-of-the-client\r\n"
    b"Proxy-Authorization: Basic eA==\r\nX-Forwarded-For: 10.1.2.3\r\nUser-Agent: curl/8\r\nX-Request-ID: mine-1\r\n"
    b"OpenAI-Organization: org-theirs\r\nOpenAI-Project: proj\r\nAccept-Encoding: gzip, br\r\nX-Team: red\r\n"
)
PASSED = (
    b"Idempotency-Key: once-1\r\nOpenAI-Beta: assistants=v2\r\n"
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\n"
)
UP = {
    "idempotency-key": "once-1",
    "openai-beta": "assistants=v2",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1",
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "accept-encoding": "identity",
}
KEY = {"authorization": "Bearer sk-of-the-provider"}

# The model; what its upstream is told besides UP, host, length and the user agent.
PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "a compatible server": ("same", KEY),
    "a server without a key": ("keyless", {}),
    "OpenAI with settings": ("full", KEY | {"openai-organization": "org-ours", "x-team": "blue"}),
}

# Two ways lead in: the hot shape of a request, and everything else, which aiohttp reads.
DOORS = {"the short way": b"", "by way of aiohttp": b"Connection: close\r\n"}

# Headers of an upstream, of which three pass.
TELLING = (
    b"Set-Cookie: __cf_bm=secret\r\nOpenAI-Organization: org-ours\r\nOpenAI-Version: 1\r\nServer: cloudflare\r\n"
    b"X-RateLimit-Remaining-Requests: 3\r\nX-RateLimit-Reset-Tokens: 6s\r\nCF-Ray: 1\r\nVia: 1.1 proxy\r\n"
    b"Strict-Transport-Security: max-age=1\r\nAccess-Control-Allow-Origin: *\r\nX-Request-ID: up-1\r\n"
    b"OpenAI-Processing-MS: 12\r\nKeep-Alive: timeout=5\r\n"
)
DOWN = {"content-type", "date", "x-request-id", "x-upstream-request-id", "openai-processing-ms"}
LONGEST = "a" * 128


def tells(long: int) -> Behaviour:
    """Answers whole or in a stream with the headers of TELLING; `long` characters more in the request id."""
    headers = TELLING.replace(b"up-1", b"up-1" + b"x" * long)

    async def behave(peer: Peer) -> bool:
        if not peer.request.json.get("stream"):
            return await answers(200, completion(), headers)(peer)
        await peer.send(SSE_HEAD.replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n"))
        await peer.send(framed(ROLE, words("hello"), STOP, DONE) + END)
        return True

    return behave


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    behaviours: dict[str, Behaviour] = {"telling": tells(0), "telling-badly": tells(500)}
    behaviours |= {"same": chat(), 'the "other" name': chat()}
    async with Upstream(behaviours) as upstream:
        text = ANY_PORT + DOCUMENT.format(url=upstream.base_url)
        with relaying(tmp_path_factory.mktemp("passing"), upstream, text) as relay:
            yield relay


both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
both_doors = pytest.mark.parametrize("door", DOORS)


@both_ways
@both_doors
@pytest.mark.parametrize("sentence", PROVIDERS)
async def test_an_upstream_is_told_only_what_it_may_know(
    case: Relay, sentence: str, door: str, stream: bool
) -> None:
    model, own = PROVIDERS[sentence]

    answer = await send(case.port, request(chat_body(model, stream=stream), KEPT + PASSED + DOORS[door]))

    assert answer.status == 200
    told = dict(case.upstream.requests[-1].headers)
    assert told.pop("host") == f"127.0.0.1:{case.upstream.port}"
    assert told.pop("user-agent").split("/")[0] == ("ours" if model == "full" else "llm-gateway")
    assert int(told.pop("content-length")) == len(case.upstream.requests[-1].body)
    assert told == UP | own
    assert case.upstream.requests[-1].line == "POST /v1/chat/completions HTTP/1.1"


@both_ways
@both_doors
async def test_a_client_is_told_only_what_it_may_know(case: Relay, door: str, stream: bool) -> None:
    answer = await send(case.port, request(chat_body("telling", stream=stream), DOORS[door]))

    assert answer.status == 200
    framing = {"transfer-encoding", "cache-control", "x-accel-buffering"} if stream else {"content-length"}
    closing = {"connection"} if DOORS[door] else set()
    assert answer.headers.keys() == DOWN | framing | closing
    assert answer.headers["x-upstream-request-id"] == "up-1"
    assert answer.headers["openai-processing-ms"] == "12"
    assert answer.request_id.startswith("req_")


@both_ways
async def test_a_long_request_id_of_an_upstream_is_cut(case: Relay, stream: bool) -> None:
    answer = await send(case.port, request(chat_body("telling-badly", stream=stream)))

    assert answer.headers["x-upstream-request-id"] == ("up-1" + "x" * 500)[:128]


# Header lines of a request, and the id that it has from then on; None: one of the gateway's.
IDS: dict[str, tuple[bytes, str | None]] = {
    "none is given": (b"", None),
    "a plain one": (b"X-Request-ID: abc-1.2_3:4\r\n", "abc-1.2_3:4"),
    "in other letters": (b"x-ReQuest-iD: abc\r\n", "abc"),
    "one of 128 characters": (b"X-Request-ID: %b\r\n" % LONGEST.encode(), LONGEST),
    "one of 129 characters": (b"X-Request-ID: %ba\r\n" % LONGEST.encode(), None),
    "an empty one": (b"X-Request-ID:\r\n", None),
    "a blank inside": (b"X-Request-ID: a b\r\n", None),
    "a quote": (b'X-Request-ID: a"b\r\n', None),
    "markup": (b"X-Request-ID: <script>\r\n", None),
    "a tab": (b"X-Request-ID: a\tb\r\n", None),
    "not ASCII": ("X-Request-ID: ü\r\n".encode(), None),
}


@both_doors
@pytest.mark.parametrize("sentence", IDS)
async def test_a_request_keeps_its_id_if_it_is_safe(case: Relay, sentence: str, door: str) -> None:
    lines, expected = IDS[sentence]

    answer = await send(case.port, request(chat_body("same"), lines + DOORS[door]))

    assert answer.status == 200
    assert case.line(answer)["status"] == "success"
    if expected is not None:
        assert answer.request_id == expected
    else:
        assert answer.request_id.startswith("req_")
        assert answer.request_id.isascii()


async def test_ids_of_the_gateway_differ(case: Relay) -> None:
    ids = {(await send(case.port, request(chat_body("same")))).request_id for _ in range(20)}

    assert len(ids) == 20


async def test_an_error_has_the_id_too(case: Relay) -> None:
    answer = await send(case.port, request(chat_body("nobody"), b"X-Request-ID: wrong-1\r\n"))

    assert (answer.status, answer.request_id) == (404, "wrong-1")
    assert case.line(answer)["status"] == "client_error"


# Bodies of a client: all but the model and what asks for usage reaches the upstream to the byte.

USAGE = b'"stream_options":{"include_usage":true},'
ODD = (
    b' {\t"temperature" : 1.0e0 ,\r\n "seed":12345678901234567890, "top_p":0.10,"user":"\\u00e9\\/\xc3\xa9\\n",'
    b'"metadata":{"model":"not this","a":"\\"model\\":\\"nor this\\""},%b"messages":[{"role":"user","content":'
    b'"{\\"model\\": \\"same\\"}"}], "model" :  "%b" , "x":1,"x":2,"big":1E400, "model_":"same","null":null}  '
)
RENAMED = b'the \\"other\\" name'

BODIES: dict[str, tuple[bytes, bytes]] = {
    "whole, by its own name": (ODD % (b"", b"same"), ODD % (b"", b"same")),
    "whole, renamed": (ODD % (b"", b"renamed"), ODD % (b"", RENAMED)),
    "whole, renamed from provider/model": (ODD % (b"", b"plain/renamed"), ODD % (b"", RENAMED)),
    "whole, the model first": (
        b'{"model":"renamed","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}',
        b'{"model":"%b","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}' % RENAMED,
    ),
    "whole, the name in escapes": (
        b'{"messages":[],"model":"ren\\u0061med"}',
        b'{"messages":[],"model":"%b"}' % RENAMED,
    ),
    "stream, usage is asked for already": (
        ODD % (b'"stream":true,"stream_options":{ "include_usage" : true },', b"same"),
        ODD % (b'"stream":true,"stream_options":{ "include_usage" : true },', b"same"),
    ),
    "stream, usage is added in front": (
        (ODD % (b'"stream":true,', b"same")),
        (ODD % (b'"stream":true,', b"same")).replace(b" {", b" {" + USAGE, 1),
    ),
    "stream, renamed": (
        (ODD % (b'"stream": true,', b"renamed")),
        (ODD % (b'"stream": true,', RENAMED)).replace(b" {", b" {" + USAGE, 1),
    ),
    "stream, of a provider that refuses stream_options": (
        ODD % (b'"stream":true,', b"frugal/frugal"),
        ODD % (b'"stream":true,', b"same"),
    ),
    "9 MB": (
        b'{"model":"same","messages":[{"role":"user","content":"%b"}]}' % (b"x" * 9_000_000),
        b'{"model":"same","messages":[{"role":"user","content":"%b"}]}' % (b"x" * 9_000_000),
    ),
}

# Where the body has to be put together anew: equal as JSON.
REJOINED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a key in escapes": (
        b'{"mod\\u0065l":"renamed","seed":1.50}',
        {"model": 'the "other" name', "seed": 1.5},
    ),
    "stream options of another kind": (
        b'{"model":"same","stream":true,"stream_options":{"include_obfuscation":false}}',
        {
            "model": "same",
            "stream": True,
            "stream_options": {"include_obfuscation": False, "include_usage": True},
        },
    ),
    "stream options of null": (
        b'{"model":"same","stream":true,"stream_options":null}',
        {"model": "same", "stream": True, "stream_options": {"include_usage": True}},
    ),
    "usage that is declined": (
        b'{"model":"renamed","stream":true,"stream_options":{"include_usage":false}}',
        {"model": 'the "other" name', "stream": True, "stream_options": {"include_usage": True}},
    ),
}


async def relayed(case: Relay, body: bytes, door: str) -> Answer:
    answer = await send(case.port, request(body, DOORS[door]))
    assert answer.status == 200, answer.body
    assert answer.text == "hello"
    return answer


@both_doors
@pytest.mark.parametrize("sentence", BODIES)
async def test_a_body_reaches_the_upstream_to_the_byte(case: Relay, sentence: str, door: str) -> None:
    body, expected = BODIES[sentence]

    answer = await relayed(case, body, door)

    assert case.upstream.requests[-1].body == expected
    assert case.line(answer)["stream"] == sentence.startswith("stream")


@both_doors
@pytest.mark.parametrize("sentence", REJOINED)
async def test_a_body_that_is_put_together_anew_says_the_same(case: Relay, sentence: str, door: str) -> None:
    body, expected = REJOINED[sentence]

    await relayed(case, body, door)

    assert json.loads(case.upstream.requests[-1].body) == expected


@both_doors
async def test_a_body_with_two_models_reaches_nobody(case: Relay, door: str) -> None:
    asked = len(case.upstream.requests)

    answer = await send(case.port, request(b'{"model":"same","model":"renamed"}', DOORS[door]))

    assert (answer.status, answer.error["param"]) == (400, "model")
    assert len(case.upstream.requests) == asked
    assert case.line(answer)["attempts"] == 0

"""Each row of a table of bad documents gets its message: file, line, path, what is expected, what is there."""

import pytest

from llm_gateway_config import Refused, load_text

KEY = "sk-0123456789abcdef"
ENV = {"OPENAI_API_KEY": KEY, "MOK": "mok"}


def refusal(text: str, strict: bool = False) -> list[str]:
    with pytest.raises(Refused) as caught:
        load_text(text, source="g.yaml", env=ENV, strict=strict)
    return [str(problem) for problem in caught.value.problems]


WHOLE = {
    "nothing": ("", "g.yaml:1: holds nothing; examples/gateway.yaml shows what a document looks like"),
    "comments only": (
        "# x\n",
        "g.yaml:1: holds nothing; examples/gateway.yaml shows what a document looks like",
    ),
    "a list": ("- a", "g.yaml:1: must be a map with providers and routing, is a list"),
    "a key alone": (KEY, "g.yaml:1: must be a map with providers and routing, is text"),
    "a custom resource": (
        "# x\napiVersion: llmgateway.dev/v1alpha1\nkind: LLMGateway\n---\napiVersion: v1\n",
        "g.yaml:2: this is a custom resource; serve the folder with: llm-gateway-operator local FOLDER",
    ),
    "another object": (
        "apiVersion: v1\nkind: Secret\n",
        "g.yaml:1: this is a Kubernetes object, not a gateway.yaml",
    ),
    "a later contract": (
        "contract: 2\nproviders: 5\n",
        "g.yaml:1: contract: this gateway reads contract 1, the document is written for a later one",
    ),
    "no contract": ("contract: 0\n", "g.yaml:1: contract: must be 1 or more, is 0"),
    "a requirement": (
        "requires:\n  - zone-policy\n",
        'g.yaml:2: requires[0]: this gateway does not know "zone-policy", so it must not serve this document',
    ),
    "syntax": (
        "a: [\n",
        "g.yaml:2: is not valid YAML: did not find expected node content while parsing a flow node",
    ),
    "a key twice": ("server: {}\nserver: {}\n", "g.yaml:2: server: is written twice, first at line 1"),
}

SERVER = {
    "a negative port": ("port: -3", "port: must be 0 or more, is -3"),
    "a large port": ("port: 70000", "port: must be 65535 or less, is 70000"),
    "a port in words": ("port: http", 'port: must be a whole number, is "http"'),
    "a port that is true": ("port: true", "port: must be a whole number, is true"),
    "half a port": ("port: 80.5", "port: must be a whole number, is 80.5"),
    "two equal ports": (
        "port: 9000\n  metrics_port: 9000",
        "metrics_port: must differ from server.port, both are 9000",
    ),
    "a port equal to a default": ("port: 9090", "port: must differ from server.metrics_port, both are 9090"),
    "a bare duration": (
        "header_timeout: 30",
        "header_timeout: must be a duration like 30s or 1m30s, is 30: write a unit",
    ),
    "a duration in words": (
        "header_timeout: fast",
        'header_timeout: must be a duration like 30s or 1m30s, is "fast"',
    ),
    "no time at all": ("header_timeout: 0s", 'header_timeout: must be 1ms or more, is "0s"'),
    "a bare size": (
        "max_header_size: 32000",
        "max_header_size: must be a size like 10MB or 64KiB, is 32000: write a unit",
    ),
    "a size of nothing": ("max_header_size: 0B", 'max_header_size: must be 1B or more, is "0B"'),
    "a host with a port": (
        "host: localhost:80",
        'host: must be an address or host name to listen on, like 127.0.0.1, is "localhost:80"',
    ),
    "half of TLS": ("tls: {cert_path: a}", "tls.key_path: is required"),
    "an unquoted version": (
        "tls: {cert_path: a, key_path: b, min_version: 1.2}",
        "tls.min_version: must be one of: 1.2, 1.3; is 1.2",
    ),
    "an origin with a path": (
        "cors: {allow_origins: ['https://a/b']}",
        "cors.allow_origins[0]: must be an origin like https://app.example.com: no path, no / at the end",
    ),
    "no origins": ("cors: {allow_origins: []}", "cors.allow_origins: must hold at least one origin"),
    "a list of limits": ("max_connections: [1]", "max_connections: must be a whole number, is a list"),
    "a variable that is not set": (
        "port: ${NO_PORT}",
        "port: the variable NO_PORT is not set; ${NO_PORT:-default} gives it a default",
    ),
    "a variable that begins nothing": (
        'host: "${A"',
        "host: ${ begins no variable here: write ${NAME} or ${NAME:-default}, or $${ for a literal ${",
    ),
    "a secret for a number": (
        "port: ${OPENAI_API_KEY}",
        "port: must be a whole number, is the value of ${OPENAI_API_KEY}",
    ),
    "a default that does not fit": ("port: ${NO_PORT:-http}", 'port: must be a whole number, is "http"'),
}

PROVIDER = {
    "no type": ("models: [m]", "type: is required"),
    "a number for a type": ("type: 5", "type: must be one of: openai, openai_compatible, mock; is 5"),
    "no address": ("type: openai_compatible", "base_url: is required for type openai_compatible"),
    "an address for a mock": (
        "type: mock\n    base_url: http://x",
        "base_url: is only for type openai or openai_compatible, this provider is of type mock",
    ),
    "an organization elsewhere": (
        "type: mock\n    organization: org-1",
        "organization: is only for type openai, this provider is of type mock",
    ),
    "mock elsewhere": (
        "type: openai\n    mock: {}",
        "mock: is only for type mock, this provider is of type openai",
    ),
    "mock of a model elsewhere": (
        "type: openai\n    models: [{name: m, mock: {}}]",
        "models[0].mock: is only for type mock, this provider is of type openai",
    ),
    "a star in a name": (
        'type: mock\n    models: ["gpt-*"]',
        'models[0]: must be a name without *, is "gpt-*"',
    ),
    "an empty name": ('type: mock\n    models: [""]', "models[0]: must not be empty"),
    "a long name": (
        f"type: mock\n    models: [{'m' * 257}]",
        "models[0]: must be at most 256 characters long, is 257",
    ),
    "a line break in a name": (
        'type: mock\n    models: ["a\\nb"]',
        "models[0]: must not hold control characters or line breaks",
    ),
    "a number for a name": (
        "type: mock\n    models: [{name: 4}]",
        "models[0].name: must be text, is 4: quote it",
    ),
    "a number for a model": ("type: mock\n    models: [4]", "models[0]: must be a map, is 4"),
    "a model without a name": ("type: mock\n    models: [{}]", "models[0].name: is required"),
    "a model twice": (
        "type: mock\n    models: [a, {name: a}]",
        'models[1]: has the name "a", which models[0] has already',
    ),
    "text for models": ("type: mock\n    models: echo", 'models: must be a list, is "echo"'),
    "an unquoted price": (
        "type: mock\n    models: [{name: m, price: {input: 2.5, output: '1'}}]",
        'models[0].price.input: must be dollars per million tokens in quotes, like "2.50", is 2.5: quote it',
    ),
    "half a price": (
        "type: mock\n    models: [{name: m, price: {input: '1'}}]",
        "models[0].price.output: is required",
    ),
    "a header of the gateway's own": (
        "type: mock\n    headers: {Host: x}",
        "headers.Host: must not be set: the gateway itself sets host",
    ),
    "no header": (
        'type: mock\n    headers: {"a b": x}',
        'headers["a b"]: must be the name of an HTTP header: letters, digits and hyphens',
    ),
    "a header twice": ("type: mock\n    headers: {x-a: b, X-A: b}", "headers.X-A: is the same header as x-a"),
    "a number for a header": (
        "type: mock\n    headers: {x-a: 5}",
        "headers.x-a: must be text or {file: PATH}, is a number: quote it",
    ),
    "a proxy without a port": (
        "type: mock\n    proxy: {url: 'http://proxy'}",
        "proxy.url: must be a URL like http://proxy.example.com:3128: host and port, no path",
    ),
    "a proxy with TLS": (
        "type: mock\n    proxy: {url: 'https://proxy:1'}",
        "proxy.url: must be a URL like http://proxy.example.com:3128: it must begin with http://",
    ),
    "no timeout": ("type: mock\n    timeouts: {idle: 0s}", 'timeouts.idle: must be 1ms or more, is "0s"'),
    "a status that is no error": (
        "type: mock\n    mock: {fault: {kind: status, status: 200}}",
        "mock.fault.status: must be 400 or more, is 200",
    ),
    "more than all": (
        "type: mock\n    mock: {fault: {kind: cut, rate_percent: 101}}",
        "mock.fault.rate_percent: must be 100 or less, is 101",
    ),
    "a key in a map": (
        f"type: mock\n    api_key: {{value: {KEY}}}",
        "api_key: must be text or {file: PATH}, is a map",
    ),
    "no yes or no": (
        "type: mock\n    stream_usage: sometimes",
        'stream_usage: must be true or false, is "sometimes"',
    ),
}

A_URL = "must be a URL like https://api.example.com/v1"
BASE_URLS = {
    "no scheme": ("api.openai.com/v1", f"{A_URL}: it must begin with http:// or https://"),
    "another scheme": ("ftp://x/v1", f"{A_URL}: it must begin with http:// or https://"),
    "a key": (KEY, f"{A_URL}: it must begin with http:// or https://"),
    "a user": (f"https://user:{KEY}@x/v1", "must not hold a user name or password"),
    "a query": (f"https://x/v1?key={KEY}", "must not have a query or a fragment"),
    "a fragment": ("https://x/v1#", "must not have a query or a fragment"),
    "a space": ("https://x y/v1", f"{A_URL}, without spaces or line breaks"),
    "a port beyond": ("https://x:99999/v1", f"{A_URL}: its host or port cannot be read"),
    "no host": ("https://:80/v1", f"{A_URL}: its host or port cannot be read"),
    "half an address": ("https://[::1/v1", f"{A_URL}: its host or port cannot be read"),
    "metadata": (
        "http://169.254.169.254/latest",
        "must not be a link-local address (169.254.0.0/16, fe80::/10)",
    ),
    "metadata mapped": (
        "http://[::ffff:169.254.169.254]/",
        "must not be a link-local address (169.254.0.0/16, fe80::/10)",
    ),
    "link-local": (
        "http://[fe80::1%25eth0]/v1",
        "must not be a link-local address (169.254.0.0/16, fe80::/10)",
    ),
}

TARGETS = {
    "a negative weight": ("{provider: mock, model: echo, weight: -3}", ".weight: must be 0 or more, is -3"),
    "an unknown provider": (
        "{provider: mok, model: echo}",
        '.provider: names no provider of this document, is "mok" (did you mean mock?)',
    ),
    "an unknown model": (
        "{provider: mock, model: ecko}",
        '.model: provider mock lists no model "ecko" (did you mean echo?)',
    ),
    "no model": ("{provider: mock}", ".model: is required"),
    "a target twice": (
        "{provider: mock, model: lorem}",
        ": names the same provider and model as targets[0]",
    ),
    "a secret for a provider": (
        '{provider: "${OPENAI_API_KEY}", model: echo}',
        ".provider: names no provider of this document, is the value of ${OPENAI_API_KEY}",
    ),
    "a secret for a model": (
        '{provider: mock, model: "${OPENAI_API_KEY}"}',
        ".model: provider mock lists no model the value of ${OPENAI_API_KEY}",
    ),
}


@pytest.mark.parametrize(("text", "message"), WHOLE.values(), ids=WHOLE)
def test_a_document_that_cannot_be_served(text: str, message: str) -> None:
    assert refusal(text) == [message]


@pytest.mark.parametrize(("line", "message"), SERVER.values(), ids=SERVER)
def test_a_mistake_in_server(line: str, message: str) -> None:
    number = 2 + line.count("\n")
    assert refusal(f"server:\n  {line}\n") == [f"g.yaml:{number}: server.{message}"]


@pytest.mark.parametrize(("lines", "message"), PROVIDER.values(), ids=PROVIDER)
def test_a_mistake_in_a_provider(lines: str, message: str) -> None:
    (problem,) = refusal(f"providers:\n  p:\n    {lines}\n")
    path_and_message = problem.split(": ", 1)[1]
    assert path_and_message == f"providers.p.{message}"
    assert KEY not in problem


@pytest.mark.parametrize(("url", "message"), BASE_URLS.values(), ids=BASE_URLS)
def test_a_base_url_is_judged_and_never_shown(url: str, message: str) -> None:
    text = f"providers:\n  p:\n    type: openai_compatible\n    base_url: '{url}'\n"
    assert refusal(text) == [f"g.yaml:4: providers.p.base_url: {message}"]


@pytest.mark.parametrize(("target", "message"), TARGETS.values(), ids=TARGETS)
def test_a_mistake_in_a_target(target: str, message: str) -> None:
    problems = refusal(
        "providers: {mock: {type: mock, models: [echo, lorem]}}\n"
        "routing:\n"
        "  models:\n"
        "    chat:\n"
        "      targets:\n"
        "        - {provider: mock, model: lorem}\n"
        f"        - {target}\n"
    )
    assert problems[0].startswith(f"g.yaml:7: routing.models.chat.targets[1]{message}")
    assert KEY not in "".join(problems)


OTHERS = {
    "an id with a slash": (
        "providers: {a/b: {type: mock}}",
        "g.yaml:1: providers[\"a/b\"]: a provider's id must be lower-case letters, digits, '-', '_' and '.', "
        "at most 63 of them, with a letter or digit at both ends",
    ),
    "a list of providers": ("providers: [a]", "g.yaml:1: providers: must be a map, is a list"),
    "an empty provider": ("providers: {a: }", "g.yaml:1: providers.a: must be a map, is empty"),
    "a routed model without targets": (
        "routing: {models: {chat: {targets: []}}}",
        "g.yaml:1: routing.models.chat.targets: must hold at least one target",
    ),
    "a star in a routed name": (
        'routing: {models: {"gpt-*": {targets: [{provider: a, model: b}]}}}\nproviders: {a: {type: mock, models: [b]}}',
        'g.yaml:1: routing.models["gpt-*"]: must be a name without *, is "gpt-*"',
    ),
    "a strategy that is no text": (
        "routing: {strategy: 7}",
        "g.yaml:1: routing.strategy: must be one of: model_based; is 7",
    ),
    "a level": (
        "telemetry: {log: {level: warn}}",
        'g.yaml:1: telemetry.log.level: must be one of: debug, info, warning, error; is "warn" (did you mean warning?)',
    ),
    "an organization that no header can carry": (
        "providers:\n  a:\n    type: openai\n    organization: café\n",
        "g.yaml:4: providers.a.organization: must be printable ASCII without line breaks or outer spaces, "
        "to be sent as a header",
    ),
    "a revision with spaces": (
        "revision: a b",
        "g.yaml:1: revision: must be 1 to 128 letters, digits, '.', '_' or '-', is \"a b\"",
    ),
}


@pytest.mark.parametrize(("text", "message"), OTHERS.values(), ids=OTHERS)
def test_another_mistake(text: str, message: str) -> None:
    assert refusal(text) == [message]


STRICT = {
    "at the top": ("provders: {}", "g.yaml:1: provders: unknown field (did you mean providers?)"),
    "deep": (
        "providers:\n  a:\n    type: mock\n    models:\n      - {name: m, upstreammodel: x}",
        "g.yaml:5: providers.a.models[0].upstreammodel: unknown field (did you mean upstream_model?)",
    ),
    "without a value": ("servr:", "g.yaml:1: servr: unknown field (did you mean server?)"),
    "a later type": (
        "providers: {a: {type: opnai}}",
        "g.yaml:1: providers.a.type: must be one of: openai, openai_compatible, mock; "
        'is "opnai" (did you mean openai?)',
    ),
    "a later strategy": (
        "routing: {strategy: random}",
        'g.yaml:1: routing.strategy: must be one of: model_based; is "random"',
    ),
}


@pytest.mark.parametrize(("text", "message"), STRICT.values(), ids=STRICT)
def test_strictness_refuses(text: str, message: str) -> None:
    assert refusal(text, strict=True) == [message]
    assert load_text(text, source="g.yaml", env={}).warnings


def test_everything_is_said_at_once_by_line() -> None:
    assert refusal(
        "server:\n"
        "  port: -3\n"
        "  port: 4\n"
        "providers:\n"
        "  openai: {typ: openai, models: [a, a*]}\n"
        '  mock: {type: mock, models: [echo], base_url: "${URL}"}\n'
        "routing:\n"
        "  models:\n"
        "    chat:\n"
        "      targets:\n"
        "        - {provider: mock, model: ecko, weight: many}\n"
    ) == [
        "g.yaml:2: server.port: must be 0 or more, is -3",
        "g.yaml:3: server.port: is written twice, first at line 2",
        "g.yaml:5: providers.openai.type: is required",
        'g.yaml:5: providers.openai.models[1]: must be a name without *, is "a*"',
        "g.yaml:5: providers.openai.typ: unknown field (did you mean type?)",
        "g.yaml:6: providers.mock.base_url: the variable URL is not set; ${URL:-default} gives it a default",
        'g.yaml:11: routing.models.chat.targets[0].weight: must be a whole number, is "many"',
        'g.yaml:11: routing.models.chat.targets[0].model: provider mock lists no model "ecko" (did you mean echo?)',
    ]


def test_a_hidden_value_gets_no_hint_since_that_would_show_what_it_is_like() -> None:
    text = (
        "providers: {mock: {type: mock, models: [m]}}\n"
        'routing: {models: {c: {targets: [{provider: "${MOK}", model: m}]}}}\n'
    )
    assert refusal(text) == [
        "g.yaml:2: routing.models.c.targets[0].provider: names no provider of this document, is the value of ${MOK}"
    ]

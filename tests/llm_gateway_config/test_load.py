"""From text to what is served: the rules of leaving out, of strictness, of revisions."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_config import Loaded, Refused, load_file, load_text, show

EXAMPLE = """\
server: {host: 127.0.0.1, port: 8080, metrics_port: 9090}
providers:
  openai:
    type: openai
    api_key: ${OPENAI_API_KEY}
    base_url: https://api.openai.com/v1
    models: [gpt-4o-mini, {name: gpt-4o, upstream_model: gpt-4o-2024-11-20, price: {input: "2.50", output: "10.00"}}]
    timeouts: {connect: 5s, headers: 60s, first_token: 60s, idle: 60s, total: 10m}
  mock: {type: mock, models: [echo]}
routing:
  strategy: model_based
  models:
    chat:
      targets:
        - {provider: openai, model: gpt-4o, weight: 80}
        - {provider: mock, model: echo, priority: 1}
    gpt:
      targets:
        - {provider: openai, model: gpt-4o}
"""
KEY = "sk-0123456789"


def load(text: str, env: dict[str, str] | None = None, **options: Any) -> Loaded:
    return load_text(text, source="gateway.yaml", env=env or {}, **options)


def warnings(loaded: Loaded) -> list[str]:
    return [str(warning) for warning in loaded.warnings]


def test_the_example_is_served_as_printed() -> None:
    loaded = load(EXAMPLE, {"OPENAI_API_KEY": KEY})
    openai = loaded.config.providers["openai"]
    assert openai.api_key is not None
    assert openai.api_key.reveal() == KEY
    assert openai.models[1].upstream_model == "gpt-4o-2024-11-20"
    assert [target.provider for target in loaded.config.routing.models["chat"].targets] == ["openai", "mock"]
    assert (loaded.warnings, dict(loaded.left_out), loaded.files) == ((), {}, ())


def test_a_provider_whose_variable_is_not_set_is_left_out_and_the_rest_is_served() -> None:
    loaded = load(EXAMPLE, strict=True)
    assert list(loaded.config.providers) == ["mock"]
    assert dict(loaded.left_out) == {"openai": "the variable OPENAI_API_KEY is not set"}
    assert warnings(loaded) == [
        "gateway.yaml:5: providers.openai.api_key: provider openai is left out: the variable OPENAI_API_KEY is not set"
    ]
    routed = loaded.config.routing.models
    assert [target.provider for target in routed["chat"].targets] == ["mock"]
    assert routed["gpt"].targets == ()


UNUSABLE = {
    "an empty variable": ("${K}", {"K": ""}, "the variable K is empty"),
    "a line break in a variable": (
        "${K}",
        {"K": "sk-1\nx"},
        "the value of K must be printable ASCII without line breaks or outer spaces, to be sent as a header",
    ),
    "a missing file": (
        "{file: keys/none}",
        {},
        "the file keys/none cannot be read: no such file or directory",
    ),
    "a folder": ("{file: keys}", {}, "the file keys cannot be read: is a directory"),
    "an empty file": ("{file: keys/empty}", {}, "the file keys/empty is empty"),
    "a binary file": ("{file: keys/binary}", {}, "the file keys/binary is not text"),
    "a huge file": ("{file: keys/huge}", {}, "the file keys/huge is larger than 64 KiB"),
    "a file of several lines": (
        "{file: keys/lines}",
        {},
        "what the file keys/lines holds must be printable ASCII without line breaks or outer spaces, "
        "to be sent as a header",
    ),
    "a file whose variable is not set": ('{file: "${F}"}', {}, "the variable F is not set"),
    "a file whose name is a secret": (
        '{file: "${F}"}',
        {"F": KEY},
        "the file that F names cannot be read: no such file or directory",
    ),
    "a FIFO whose name is a secret": (
        '{file: "${F}"}',
        {"F": f"keys/{KEY}"},
        "the file that F names is no regular file",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys = tmp_path / "keys"
    keys.mkdir()
    os.mkfifo(keys / KEY)
    (keys / "good").write_text(KEY + "\n")
    (keys / "crlf").write_bytes(KEY.encode() + b"\r\n")
    (keys / "empty").write_text("\n")
    (keys / "binary").write_bytes(b"\xff\xfe")
    (keys / "huge").write_text("x" * 70_000)
    (keys / "lines").write_text(KEY + "\nsecond\n")
    return tmp_path


@pytest.mark.parametrize("field", ["api_key: {}", "headers: {{x-key: {}}}"])
@pytest.mark.parametrize(("written", "env", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_credential_that_cannot_be_used_takes_out_its_provider(
    folder: Path, written: str, env: dict[str, str], reason: str, field: str
) -> None:
    if field.startswith("headers") and written.startswith("$"):
        written = f'"{written}"'
    text = f"providers:\n  a:\n    type: openai\n    models: [m]\n    {field.format(written)}\n"
    loaded = load(text, env, base=folder)
    assert dict(loaded.left_out) == {"a": reason}
    assert dict(loaded.config.providers) == {}
    assert KEY not in repr(loaded)


@pytest.mark.parametrize("name", ["good", "crlf"])
def test_a_credential_file_is_relative_to_the_document(folder: Path, name: str) -> None:
    document = folder / "gateway.yaml"
    document.write_text(
        f"providers: {{a: {{type: openai, models: [m], api_key: {{file: keys/{name}}}, headers: {{x: 'y'}}}}}}\n"
    )
    loaded = load_file(document, {}, strict=True)
    key = loaded.config.providers["a"].api_key
    assert key is not None
    assert (key.reveal(), key.file) == (KEY, f"keys/{name}")
    assert loaded.config.providers["a"].headers["x"].reveal() == "y"
    assert loaded.files == (folder / "keys" / name,)
    assert f"file: keys/{name}" in show(loaded.config)


def test_files_are_named_also_while_they_are_missing(folder: Path) -> None:
    loaded = load("providers: {a: {type: openai, models: [m], api_key: {file: keys/none}}}", base=folder)
    assert loaded.files == (folder / "keys" / "none",)


def test_a_key_of_digits_in_a_variable_is_still_text() -> None:
    loaded = load("providers:\n  a:\n    type: openai\n    models: [m]\n    api_key: ${K}\n", {"K": "12345"})
    key = loaded.config.providers["a"].api_key
    assert key is not None
    assert key.reveal() == "12345"


def test_paths_of_certificates_are_relative_to_the_document(folder: Path) -> None:
    text = """\
server: {tls: {cert_path: tls.crt, key_path: /abs/tls.key}}
providers: {a: {type: mock, models: [m], tls: {ca_path: ca.pem}}}
"""
    config = load(text, base=folder).config
    tls, provider_tls = config.server.tls, config.providers["a"].tls
    assert tls is not None
    assert provider_tls is not None
    assert (tls.cert_path, tls.key_path) == (str(folder / "tls.crt"), "/abs/tls.key")
    assert provider_tls.ca_path == str(folder / "ca.pem")


NEWER = """\
providers:
  later: {type: sorcery, wand: oak, models: [{spell: x}]}
  mock: {type: mock, models: [echo]}
routing:
  models:
    chat: {targets: [{provider: later, model: x}, {provider: mock, model: echo}]}
sparkle: true
"""


def test_a_provider_of_a_later_type_is_left_out_and_unknown_fields_are_warned_of() -> None:
    loaded = load(NEWER)
    assert warnings(loaded) == [
        "gateway.yaml:2: providers.later.type: must be one of: openai, openai_compatible, mock; "
        'is "sorcery"; provider later is left out',
        "gateway.yaml:7: sparkle: unknown field",
    ]
    assert [str(problem) for problem in loaded.unknown] == ["gateway.yaml:7: sparkle: unknown field"]
    assert list(loaded.left_out) == ["later"]
    assert list(loaded.config.providers) == ["mock"]
    assert [target.provider for target in loaded.config.routing.models["chat"].targets] == ["mock"]


def test_strictness_refuses_what_is_only_warned_of_otherwise() -> None:
    with pytest.raises(Refused) as caught:
        load(NEWER, strict=True)
    assert [problem.path for problem in caught.value.problems] == ["providers.later.type", "sparkle"]


def test_an_unknown_fault_takes_out_its_provider_only() -> None:
    loaded = load(
        "providers: {a: {type: mock, models: [m], mock: {fault: {kind: plague}}}, b: {type: mock, models: [m]}}"
    )
    assert list(loaded.config.providers) == ["b"]
    assert loaded.left_out["a"].startswith("providers.a.mock.fault.kind must be one of: status, refuse")


def test_a_later_strategy_is_served_as_the_default() -> None:
    text = EXAMPLE.replace("strategy: model_based", "strategy: least_latency")
    loaded = load(text, {"OPENAI_API_KEY": KEY})
    assert warnings(loaded) == [
        'gateway.yaml:11: routing.strategy: must be one of: model_based; is "least_latency"; '
        "the default is served instead"
    ]
    assert loaded.config == load(EXAMPLE, {"OPENAI_API_KEY": KEY}).config
    assert (dict(loaded.left_out), loaded.unknown) == ({}, ())


def test_a_later_strategy_beside_a_mistake_is_told_along() -> None:
    with pytest.raises(Refused) as caught:
        load("routing: {strategy: least_latency}\nserver: {port: -1}")
    assert [problem.path for problem in caught.value.problems] == ["routing.strategy", "server.port"]


ADVICE = {
    "no models": (
        "providers: {a: {type: mock}}",
        ["gateway.yaml:1: providers.a: lists no models, so no request reaches it"],
    ),
    "no key for openai": (
        "providers: {a: {type: openai, models: [m]}}",
        ["gateway.yaml:1: providers.a: has no api_key, without which OpenAI refuses every request"],
    ),
    "no key for a server of one's own": (
        "providers: {a: {type: openai, models: [m], base_url: 'http://x/v1'}}",
        [],
    ),
    "open models are models": ("providers: {a: {type: mock, open_models: {prefixes: [gpt-]}}}", []),
}


@pytest.mark.parametrize(("text", "expected"), ADVICE.values(), ids=ADVICE)
def test_what_is_sound_but_odd_is_warned_of(text: str, expected: list[str]) -> None:
    assert warnings(load(text, strict=True)) == expected


def test_the_revision_follows_the_content_and_the_keys(folder: Path) -> None:
    text = "providers: {a: {type: openai, models: [m], api_key: {file: keys/good}}}"
    first = load(text, base=folder).revision
    assert first == load(f"# a comment\n{text}\n", base=folder).revision
    assert first != load(text.replace("[m]", "[n]"), base=folder).revision
    (folder / "keys" / "good").write_text("sk-rotated")
    assert first != load(text, base=folder).revision
    assert len(first) == 12


def test_the_revision_follows_the_environment_and_not_the_folder(folder: Path, tmp_path_factory: Any) -> None:
    revisions = {load(EXAMPLE, {"OPENAI_API_KEY": key}).revision for key in ("a", "b", "b")}
    assert len(revisions) == 2
    text = "server: {tls: {cert_path: a, key_path: b}}"
    assert load(text, base=folder).revision == load(text, base=tmp_path_factory.mktemp("other")).revision


def test_a_document_may_bring_its_revision() -> None:
    assert load("revision: abc-1").revision == "abc-1"


def test_what_is_shown_can_be_read_back_and_holds_no_secret() -> None:
    loaded = load(EXAMPLE, {"OPENAI_API_KEY": KEY})
    shown = show(loaded.config)
    assert KEY not in shown
    assert 'api_key: "***"' in shown
    assert "keep_alive_timeout: 1m15s" in shown
    assert show(load(shown, strict=True).config) == shown


def test_what_is_shown_does_not_read_the_environment_when_read_back() -> None:
    config = load("providers: {a: {type: mock, models: ['${HOME}']}}").config
    again = load(show(config), {"HOME": "leak"}).config
    assert again.providers["a"].models[0].name == "${HOME}"


def test_json_is_a_document() -> None:
    document = {
        "providers": {"a": {"type": "mock", "models": ["\U0001f600"]}},
        "server": {"port": "${P:-81}"},
    }
    config = load(json.dumps(document)).config
    assert config.providers["a"].models[0].name == "\U0001f600"
    assert config.server.port == 81


UNREADABLE = {
    "no file": ("none.yaml", "cannot be read: no such file or directory"),
    "a folder": ("keys", "cannot be read: is a directory"),
    "bytes": ("keys/binary", "is not UTF-8 text"),
}


@pytest.mark.parametrize(("name", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused(folder: Path, name: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        load_file(folder / name, {})
    (problem,) = caught.value.problems
    assert (problem.file, problem.message) == (str(folder / name), message)


def test_256_providers_of_16_models_are_one_document() -> None:
    models = "\n".join(
        f'      - {{name: m{n}, price: {{input: "2.50", output: "10.00"}}}}' for n in range(16)
    )
    providers = "\n".join(
        f"  p{n}:\n    type: openai\n    api_key: ${{K}}\n    models:\n{models}" for n in range(256)
    )
    loaded = load(f"providers:\n{providers}\n", {"K": KEY}, strict=True)
    assert sum(len(provider.models) for provider in loaded.config.providers.values()) == 4096


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    """To open a FIFO waits for its writer."""
    os.mkfifo(tmp_path / "gateway.yaml")
    with pytest.raises(Refused, match="is no regular file"):
        load_file(tmp_path / "gateway.yaml", {})
    os.mkfifo(tmp_path / "key")
    text = "providers: {p: {type: openai, api_key: {file: key}, models: [m]}}"
    loaded = load_text(text, source="gateway.yaml", env={}, base=tmp_path)
    assert loaded.left_out["p"] == "the file key is no regular file"

"""Documents built into runtimes: what is served, what is listed, and which connections outlive a reload."""

from pathlib import Path

import pytest

from llm_gateway.runtime import Runtime, build
from llm_gateway.upstream.origin import Authorities, tls_context
from llm_gateway.upstream.pool import Pool
from llm_gateway.upstream.registry import Upstreams
from llm_gateway_testing.driven import SetClock
from llm_gateway_testing.inprocess import load

BASE = "http://127.0.0.1:9/v1"


@pytest.fixture
def upstreams() -> Upstreams:
    return Upstreams(SetClock())


def provider(models: str = "[m]", **fields: str) -> str:
    """A document with one provider, `p`."""
    settings = {"type": "openai_compatible", "base_url": BASE, "models": models} | fields
    written = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return f"providers: {{p: {{{written}}}}}"


def pool(runtime: Runtime, model: str = "p/m") -> Pool:
    return runtime.routes.find(model).groups[0][0].pool


AUTHORITY = "trust.pem"

# Two documents, and whether the second goes on with the pool of the first.
RELOADS: dict[str, tuple[str, str, bool]] = {
    "nothing has changed": (provider(), provider(), True),
    "another model": (provider(), provider("[m, n]"), True),
    "another name at the provider": (provider(), provider("[{name: m, upstream_model: x}]"), True),
    "another path of the URL": (provider(), provider(base_url="http://127.0.0.1:9/v2"), True),
    "other timeouts": (provider(), provider(timeouts="{connect: 1s}"), True),
    "another header": (provider(), provider(headers="{X-Team: a}"), True),
    "the host in other case": (
        provider(base_url="http://llm.internal/v1"),
        provider(base_url="http://LLM.internal/v1"),
        True,
    ),
    "the default port, written": (
        provider(base_url="http://llm.internal/v1"),
        provider(base_url="http://llm.internal:80/v1"),
        True,
    ),
    "the same key": (provider(api_key="sk-1"), provider(api_key="sk-1"), True),
    "another key": (provider(api_key="sk-1"), provider(api_key="sk-2"), False),
    "a key where there was none": (provider(), provider(api_key="sk-1"), False),
    "another host": (provider(), provider(base_url="http://127.0.0.2:9/v1"), False),
    "another port": (provider(), provider(base_url="http://127.0.0.1:10/v1"), False),
    "TLS": (provider(), provider(base_url="https://127.0.0.1:9/v1"), False),
    "an egress proxy": (provider(), provider(proxy='{url: "http://127.0.0.1:3128"}'), False),
    "another egress proxy": (
        provider(proxy='{url: "http://127.0.0.1:3128"}'),
        provider(proxy='{url: "http://127.0.0.1:3129"}'),
        False,
    ),
    "an authority of one's own": (
        provider(base_url="https://127.0.0.1:9/v1"),
        provider(base_url="https://127.0.0.1:9/v1", tls=f"{{ca_path: {AUTHORITY}}}"),
        False,
    ),
}


@pytest.mark.parametrize(("before", "after", "kept"), RELOADS.values(), ids=RELOADS)
def test_pool_of_a_reload(upstreams: Upstreams, before: str, after: str, kept: bool, authority: Path) -> None:
    first = pool(build(load(before, base=authority.parent), upstreams))
    second = pool(build(load(after, base=authority.parent), upstreams))
    assert (second is first) == kept
    assert first.retired == (not kept)
    assert not second.retired


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    import trustme

    path = tmp_path / AUTHORITY
    trustme.CA().cert_pem.write_to_path(path)
    return path


def test_a_rotated_key_file_makes_a_new_pool(upstreams: Upstreams, tmp_path: Path) -> None:
    document, key = provider(api_key="{file: key}"), tmp_path / "key"
    key.write_text("sk-old\n")
    old = build(load(document, base=tmp_path), upstreams)
    key.write_text("sk-new\n")
    new = build(load(document, base=tmp_path), upstreams)
    assert pool(new) is not pool(old)
    assert pool(old).retired
    assert new.revision != old.revision


def test_another_authority_in_the_same_file_makes_a_new_pool(upstreams: Upstreams, authority: Path) -> None:
    import trustme

    document = provider(base_url="https://127.0.0.1:9/v1", tls=f"{{ca_path: {AUTHORITY}}}")
    loaded = load(document, base=authority.parent)
    assert authority in loaded.files, "a change of the file is not noticed"
    old = build(loaded, upstreams)
    trustme.CA().cert_pem.write_to_path(authority)
    new = build(load(document, base=authority.parent), upstreams)
    assert pool(new) is not pool(old)
    assert pool(old).retired


def test_a_bundle_may_hold_comments_in_any_language(upstreams: Upstreams, authority: Path) -> None:
    authority.write_bytes("# Autorité de certification\n".encode() + authority.read_bytes())
    document = provider(base_url="https://127.0.0.1:9/v1", tls=f"{{ca_path: {AUTHORITY}}}")
    assert not pool(build(load(document, base=authority.parent), upstreams)).retired
    trusted = tls_context(Authorities(str(authority), "")).get_ca_certs()
    assert len(trusted) == 1, "these alone, not the system's"


def test_models_and_providers_of_one_origin_share_its_pool(upstreams: Upstreams) -> None:
    one = "{type: openai_compatible, base_url: 'http://llm.internal/v1', models: [a, b]}"
    other = "{type: openai_compatible, base_url: 'http://llm.internal/other', models: [c]}"
    runtime = build(load(f"providers: {{one: {one}, other: {other}}}"), upstreams)
    assert pool(runtime, "a") is pool(runtime, "b") is pool(runtime, "c")
    runtime = build(load(f"providers: {{other: {other}}}"), upstreams)
    assert not pool(runtime, "c").retired


def test_a_provider_that_is_deleted_retires_its_pool(upstreams: Upstreams) -> None:
    first = pool(build(load(provider()), upstreams))
    build(load("providers: {}"), upstreams)
    assert first.retired


# Nothing of it falls back on the system's authorities.
NO_AUTHORITIES = {
    "no certificate": "no certificate",
    "an empty file": "",
    "a comment alone": "# Autorité\n",
    "half a certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n",
}


@pytest.mark.parametrize("text", NO_AUTHORITIES.values(), ids=NO_AUTHORITIES)
def test_a_document_that_cannot_be_built_changes_nothing(
    upstreams: Upstreams, tmp_path: Path, text: str
) -> None:
    first = pool(build(load(provider()), upstreams))
    (tmp_path / AUTHORITY).write_text(text)
    broken = provider(base_url="https://127.0.0.1:9/v1", tls=f"{{ca_path: {AUTHORITY}}}")
    with pytest.raises(OSError, match=rf"tls\.ca_path .*{AUTHORITY} cannot be used: "):
        build(load(broken, base=tmp_path), upstreams)
    assert not first.retired
    assert pool(build(load(provider()), upstreams)) is first


def test_a_runtime_in_use_keeps_its_targets_after_a_reload(upstreams: Upstreams) -> None:
    runtime = build(load(provider("[m, gone]")), upstreams)
    route = runtime.routes.find("gone")
    build(load(provider()), upstreams)
    assert runtime.routes.find("gone") is route
    assert route.groups[0][0].upstream_model == "gone"


# What is listed.

LISTED = """
providers:
  zeta: {type: mock, models: [shared, "org/big"]}
  alpha: {type: mock, models: [shared, own]}
  open: {type: mock, open_models: {}, models: [named]}
  keyless: {type: openai, api_key: {file: absent}, models: [gpt-4o]}
  dialect: {type: klingon, models: [qapla]}
routing:
  models:
    own: {targets: [{provider: alpha, model: own}]}
    fallback: {targets: [{provider: keyless, model: gpt-4o}, {provider: alpha, model: own}]}
    empty: {targets: [{provider: keyless, model: gpt-4o}]}
"""


def test_models_have_owners_and_stand_in_order(upstreams: Upstreams) -> None:
    runtime = build(load(LISTED), upstreams)
    assert list(runtime.models.items()) == [
        ("empty", "llm-gateway"),
        ("fallback", "llm-gateway"),
        ("named", "open"),
        ("org/big", "zeta"),
        ("own", "llm-gateway"),
        ("shared", "zeta"),
    ]
    assert runtime.open_providers == ("open",)


def test_providers_that_cannot_serve_are_left_out_with_a_reason(upstreams: Upstreams) -> None:
    runtime = build(load(LISTED), upstreams)
    assert set(runtime.left_out) == {"keyless", "dialect"}
    assert "absent" in runtime.left_out["keyless"]
    assert "klingon" in runtime.left_out["dialect"]
    (target,) = runtime.routes.find("fallback").groups[0]
    assert target.name == "alpha/own"
    assert runtime.routes.find("empty").groups == ()


def test_unknown_fields_are_told_with_their_place(upstreams: Upstreams) -> None:
    runtime = build(load("providers: {p: {type: mock, modles: [m]}}"), upstreams)
    (told,) = runtime.unknown
    assert told.startswith("gateway.yaml:1: providers.p.modles")
    assert "models" in told


def test_settings_of_a_target(upstreams: Upstreams) -> None:
    document = """
providers:
  p:
    type: mock
    models: [{name: m, upstream_model: meta/m-1}, plain]
    timeouts: {connect: 1s, headers: 2s, first_token: 3s, idle: 4s, total: 5s}
routing: {models: {r: {targets: [{provider: p, model: m, weight: 3, priority: 2}]}}}
"""
    runtime = build(load(document), upstreams)
    (target,) = runtime.routes.find("r").groups[0]
    assert (target.upstream_model, target.weight, target.priority) == ("meta/m-1", 3, 2)
    timeouts = target.provider.timeouts
    assert (timeouts.connect, timeouts.headers, timeouts.first_token) == (1, 2, 3)
    assert (timeouts.idle, timeouts.total) == (4, 5)
    plain = runtime.routes.find("p/plain").groups[0][0]
    assert (plain.upstream_model, plain.weight, plain.priority) == ("plain", None, 0)

"""The document that environment variables alone imply, and what they say over a file."""

import json
from collections.abc import Mapping
from pathlib import Path

# Bare model names that lead to a provider when no file lists any.
PREFIXES = {"openai": ("gpt-", "chatgpt-", "o1", "o3", "o4")}
KEYS = {"openai": "OPENAI_API_KEY"}
BASE_URLS = {"openai": "OPENAI_BASE_URL"}
# Variables that users of such gateways set, for which there is nothing here to set.
UNUSED = ("REDIS_URL", "CACHE_TTL")

PLACES = ("gateway.yaml", "/etc/llm-gateway/gateway.yaml", "~/.config/llm-gateway/gateway.yaml")


def find_file(given: str | None, env: Mapping[str, str]) -> Path | None:
    """The document: the one given, $GATEWAY_CONFIG, or the first that exists of the usual places."""
    named = given or env.get("GATEWAY_CONFIG")
    if named:
        return Path(named)
    places = (Path(place).expanduser() for place in PLACES)
    return next((place for place in places if place.is_file()), None)


def document(env: Mapping[str, str]) -> str | None:
    """The text of a document for the keys that are set; None when none is."""
    providers = {}
    for id_, key in KEYS.items():
        if env.get(key):
            provider: dict[str, object] = {
                "type": id_,
                "api_key": f"${{{key}}}",
                "open_models": {"prefixes": PREFIXES[id_]},
            }
            if env.get(BASE_URLS[id_]):
                provider["base_url"] = f"${{{BASE_URLS[id_]}}}"
            providers[id_] = provider
    return json.dumps({"providers": providers}, indent=2) if providers else None


def table() -> str:
    """What names lead where, for the log of an environment-only start."""
    return "; ".join(
        f"{id_}/NAME and {', '.join(f'{p}*' for p in prefixes)}" for id_, prefixes in PREFIXES.items()
    )


def nothing_found() -> str:
    return (
        "nothing to serve: there is no gateway.yaml (looked at --config, $GATEWAY_CONFIG, "
        + ", ".join(PLACES)
        + f") and no provider's key in the environment. Set {' or '.join(KEYS.values())}, write a gateway.yaml "
        "(see examples/gateway.yaml), or serve a folder of LLMProvider and LLMGateway objects with: "
        "llm-gateway-operator local FOLDER"
    )

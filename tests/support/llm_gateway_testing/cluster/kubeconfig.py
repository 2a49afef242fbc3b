"""Kubeconfig text: where the API server is and who is calling."""

import base64

import yaml

from llm_gateway_testing.cluster.pki import Pair


def with_certificate(server: str, authority: bytes, pair: Pair) -> str:
    user = {
        "client-certificate-data": _data(pair.certificate),
        "client-key-data": _data(pair.key),
    }
    return _text(server, authority, user)


def with_token(server: str, authority: bytes, token: str) -> str:
    return _text(server, authority, {"token": token})


def _text(server: str, authority: bytes, user: dict[str, str]) -> str:
    cluster = {"server": server, "certificate-authority-data": _data(authority)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    return yaml.safe_dump(document, sort_keys=False)


def _data(pem: bytes) -> str:
    return base64.b64encode(pem).decode()

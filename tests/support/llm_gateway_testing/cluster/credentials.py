"""All keys, certificates and kubeconfigs of one control plane, written where its Layout says."""

from datetime import UTC, datetime
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path

from llm_gateway_testing.cluster import kubeconfig
from llm_gateway_testing.cluster.commands import FIRST_SERVICE, LOOPBACK, Layout
from llm_gateway_testing.cluster.pki import Authority, Pair, signing_key

SERVER_NAMES = ["kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost"]


class Credentials:
    """Writes everything when made; afterwards it makes kubeconfigs for tokens."""

    def __init__(self, at: Layout) -> None:
        self._at = at
        self._numbers = count(1)
        authority = Authority("test-cluster", datetime.now(UTC))
        self.authority = authority.certificate
        at.key("").mkdir()
        _write(at.key("ca.crt"), self.authority)
        server = authority.server(SERVER_NAMES, [IPv4Address(LOOPBACK), IPv4Address(FIRST_SERVICE)])
        _write(at.key("server.crt"), server.certificate)
        _write(at.key("server.key"), server.key)
        tokens = signing_key()
        _write(at.key("tokens.key"), tokens.private)
        _write(at.key("tokens.pub"), tokens.public)
        self.admin = self._kubeconfig("admin", authority.client("admin", "system:masters"))
        self._kubeconfig("controller-manager", authority.client("system:kube-controller-manager"))

    def with_token(self, token: str) -> Path:
        """A new kubeconfig."""
        text = kubeconfig.with_token(self._at.server, self.authority, token)
        return _write(self._at.folder / f"token-{next(self._numbers)}.kubeconfig", text.encode())

    def _kubeconfig(self, name: str, pair: Pair) -> Path:
        text = kubeconfig.with_certificate(self._at.server, self.authority, pair)
        return _write(self._at.folder / f"{name}.kubeconfig", text.encode())


def _write(path: Path, content: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(content)
    return path

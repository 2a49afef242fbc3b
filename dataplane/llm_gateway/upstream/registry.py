"""All pools of the process, by origin: they outlive documents, so a reload keeps warm connections."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from llm_gateway.drive import Clock
from llm_gateway.upstream.mock import MockConnector
from llm_gateway.upstream.origin import Authorities, Origin, OriginConnector, default_port, tls_context
from llm_gateway.upstream.pool import Pool
from llm_gateway_config import Model, Provider, ProviderType


class Upstreams:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pools: dict[Origin, Pool] = {}

    def pool(self, provider: Provider, model: Model | None) -> Pool:
        """The pool that serves a provider's model. Raises OSError when the CA file cannot be used."""
        if provider.type is ProviderType.MOCK:
            return Pool(self._clock, MockConnector(self._clock, provider, model))
        origin = origin_of(provider)
        pool = self._pools.get(origin)
        if pool is None:
            context = tls_context(origin.authorities) if origin.tls else None
            pool = self._pools[origin] = Pool(self._clock, OriginConnector(self._clock, origin, context))
        return pool

    def retain(self, used: set[Pool]) -> None:
        """Retire the pools that the document in force does not use."""
        for origin, pool in list(self._pools.items()):
            if pool not in used:
                del self._pools[origin]
                pool.retire()

    def prune(self, now: float) -> None:
        for pool in self._pools.values():
            pool.prune(now)


def origin_of(provider: Provider) -> Origin:
    """Raises OSError when the file of the provider's authorities cannot be read."""
    url = urlsplit(provider.base_url or "")
    proxy = urlsplit(provider.proxy.url) if provider.proxy is not None else None
    key = provider.api_key
    return Origin(
        host=url.hostname or "",
        port=url.port or default_port(url.scheme),
        tls=url.scheme == "https",
        authorities=_authorities(provider.tls.ca_path) if provider.tls is not None else None,
        proxy=(proxy.hostname or "", proxy.port or default_port(proxy.scheme)) if proxy is not None else None,
        credential=key.fingerprint() if key is not None else "",
    )


def _authorities(path: str) -> Authorities:
    try:
        return Authorities(path, hashlib.sha256(Path(path).read_bytes()).hexdigest())
    except OSError as error:
        raise OSError(f"tls.ca_path {path} cannot be used: {error.strerror}") from error

"""TLS on the serving port, with certificates that are renewed without a restart."""

import ssl

from llm_gateway_config import ServerTls

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class ServingTls:
    """`context` serves all connections; `reload` changes what new ones are shown."""

    def __init__(self, config: ServerTls) -> None:
        """Raises OSError (ssl.SSLError included) when certificate and key cannot be used."""
        self.paths = (config.cert_path, config.key_path)
        self._version = _VERSIONS[config.min_version]
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._version
        context.set_alpn_protocols(["http/1.1"])
        self._fill(context)
        return context

    def _fill(self, context: ssl.SSLContext) -> None:
        # Without a passphrase given here OpenSSL would ask the terminal for that of an encrypted key, and wait.
        context.load_cert_chain(*self.paths, password="")

    def reload(self) -> None:
        """Raises OSError and keeps the old pair when the new one cannot be used.

        A context that failed to load a pair may keep half of it, so the pair is tried on another one first.
        """
        self._load()
        self._fill(self.context)

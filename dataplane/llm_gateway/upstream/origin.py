"""Where a provider is, and how to get a TCP or TLS connection to it."""

import contextlib
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass

import aiohappyeyeballs

from llm_gateway.drive import Clock, as_task
from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.upstream.connection import UpstreamConnection

ATTEMPT_DELAY = 0.25  # RFC 8305: seconds before the next address is tried beside a slow one
PROXY_ANSWER_LIMIT = 16 * 1024
LINK_LOCAL = "link-local addresses are refused"


@dataclass(frozen=True, slots=True)
class Authorities:
    """A PEM file of certificates to trust instead of the system's. `digest`: another content is another trust."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Origin:
    """What makes two connections interchangeable. `credential` is a fingerprint: a rotated key gets new connections."""

    host: str
    port: int
    tls: bool
    authorities: Authorities | None
    proxy: tuple[str, int] | None
    credential: str


def tls_context(authorities: Authorities | None) -> ssl.SSLContext:
    """Verifies names and chains against `authorities` alone, or against the system's.

    Raises OSError when the file holds no certificates.
    """
    path = authorities.path if authorities is not None else None
    try:
        context = ssl.create_default_context(cafile=path)
    except OSError as error:
        # What OpenSSL says names neither the file nor the setting.
        raise OSError(f"tls.ca_path {path} cannot be used: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class OriginConnector:
    """Connects to one origin: addresses in parallel (RFC 8305), through a proxy (CONNECT) where there is one."""

    def __init__(self, clock: Clock, origin: Origin, context: ssl.SSLContext | None) -> None:
        self._clock = clock
        self._origin = origin
        self._context = context

    async def connect(self, connection: UpstreamConnection, until: float) -> None:
        try:
            await as_task(self._clock, self._open(connection), until)
        except TimeoutError as error:
            raise UpstreamFailure(FailureKind.timeout, "timed out while connecting") from error
        except ssl.SSLError as error:
            message = f"TLS failed ({error.reason or 'no reason given'})".replace("_", " ").lower()
            raise UpstreamFailure(FailureKind.connect, message.replace("tls", "TLS", 1)) from error
        except (socket.gaierror, UnicodeError) as error:  # UnicodeError: a name that IDNA cannot encode
            raise UpstreamFailure(FailureKind.connect, "could not be found (DNS)") from error
        except OSError as error:
            # By number: the texts of event loops name the address.
            reason = os.strerror(error.errno) if error.errno else error.strerror or "refused or unreachable"
            raise UpstreamFailure(FailureKind.connect, f"could not connect ({reason.lower()})") from error

    async def _open(self, connection: UpstreamConnection) -> None:
        loop = self._clock.loop
        origin = self._origin
        if origin.proxy is not None:
            self._refuse_spelled_out()
        host, port = origin.proxy or (origin.host, origin.port)
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [address for address in addresses if not is_link_local(str(address[4][0]))]
        if not addresses:
            raise OSError(None, LINK_LOCAL)
        sock = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=ATTEMPT_DELAY, interleave=1, loop=loop
        )
        try:
            if origin.proxy is not None:
                await self._tunnel(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._context is not None:
                await loop.create_connection(
                    lambda: connection, sock=sock, ssl=self._context, server_hostname=origin.host
                )
            else:
                await loop.create_connection(lambda: connection, sock=sock)
        except BaseException:
            with contextlib.suppress(OSError):
                sock.close()
            raise

    def _refuse_spelled_out(self) -> None:
        """Names are looked up by the proxy; an address in any spelling (`2852039166`) is read here, without DNS."""
        with contextlib.suppress(socket.gaierror):
            for address in socket.getaddrinfo(self._origin.host, None, flags=socket.AI_NUMERICHOST):
                if is_link_local(str(address[4][0])):
                    raise OSError(None, LINK_LOCAL)

    async def _tunnel(self, sock: socket.socket) -> None:
        """RFC 9110, 9.3.6: ask the proxy for a tunnel to the origin."""
        loop = self._clock.loop
        host = self._origin.host
        target = f"{f'[{host}]' if ':' in host else host}:{self._origin.port}"
        await loop.sock_sendall(sock, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            # HTTP and TLS servers let the client speak first, so nothing of the origin's can follow the head.
            piece = await loop.sock_recv(sock, 4096)
            answer += piece
            if not piece or len(answer) > PROXY_ANSWER_LIMIT:
                raise OSError(None, "the proxy closed the connection")
        status = answer.split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or status[1] != b"200":
            raise OSError(
                None, f"the proxy answered {status[1].decode('latin-1') if len(status) > 1 else '?'}"
            )


def is_link_local(address: str) -> bool:
    """Cloud metadata services live on link-local addresses; no provider does.

    Asked of what a name resolves to, so no spelling of the address and no DNS record gets around it.
    """
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_link_local)


def default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80

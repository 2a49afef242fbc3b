"""Free loopback ports that stay ours."""

import random
import socket
from pathlib import Path

FIRST = 10000
TRIES = 1000


def free_ports(count: int) -> list[int]:
    """Distinct free TCP ports below those that the kernel hands out itself.

    A port of the kernel's own range could be taken by any outgoing connection between this look and the bind,
    or while a server is down for an outage test.
    """
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = random.sample(range(FIRST, max(ephemeral, FIRST + TRIES)), TRIES)
    found = [port for port in candidates[: count * 20] if _is_free(port)][:count]
    if len(found) < count:
        raise OSError(f"no {count} free loopback ports from {FIRST} on")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers set it
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""Is a server of the cluster ready? Every failure to answer is a no."""

import http.client
import ssl
import urllib.error
import urllib.request
from pathlib import Path

LIMIT = 2.0  # seconds for one answer
# Not through a proxy of the environment: the servers are on loopback.
NO_PROXY = urllib.request.ProxyHandler({})


def answers(url: str, authority: Path | None = None) -> bool:
    """Whether a GET, without credentials, is answered with 200. `authority`: what signed the server's certificate."""
    try:
        with _opener(authority).open(url, timeout=LIMIT) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, http.client.HTTPException):
        return False


def _opener(authority: Path | None) -> urllib.request.OpenerDirector:
    if authority is None:
        return urllib.request.build_opener(NO_PROXY)
    trust = ssl.create_default_context(cafile=str(authority))
    return urllib.request.build_opener(NO_PROXY, urllib.request.HTTPSHandler(context=trust))

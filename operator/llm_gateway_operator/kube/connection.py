"""How the API server is reached: by the pod's service account, else by a kubeconfig file."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from llm_gateway_operator.kube.errors import NoCredentials

USER_AGENT = "llm-gateway-operator"


@asynccontextmanager
async def connection(kubeconfig: Path | None = None) -> AsyncIterator[ApiClient]:
    """A pool of connections, closed at the end. `kubeconfig` None: the service account of this pod, or where there
    is none the file that the environment variable KUBECONFIG names, or ~/.kube/config.

    The token file of a service account is read again every minute. Raises NoCredentials.
    """
    api = ApiClient(await _configuration(kubeconfig))
    api.user_agent = USER_AGENT
    try:
        yield api
    finally:
        await api.close()  # type: ignore[no-untyped-call]


async def _configuration(kubeconfig: Path | None) -> Configuration:
    settings = Configuration()
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(settings)  # type: ignore[no-untyped-call]
        else:
            path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
            # Never written back: it is the user's file.
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                str(path), client_configuration=settings, persist_config=False
            )
    except (config.ConfigException, OSError, ValueError) as error:
        raise NoCredentials(f"no way to reach an API server: {error}") from error
    return settings

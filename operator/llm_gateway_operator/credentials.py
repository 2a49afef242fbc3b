"""The credentials of one provider: references to Secrets become files beside the document.

Files are content-addressed (`NAMESPACE.SECRET.KEY.HASH`), because the document and its credentials swap
together but are not written together: a document must never meet values it was not rendered with. They lie in
the document's own folder: in a pod each is an entry of a Secret, whose names hold no slash.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from llm_gateway_config.provider import OPENAI_BASE_URL
from llm_gateway_config.secret import Secret
from llm_gateway_operator.api.common import SecretRef
from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.provider import LLMProvider, ProviderType
from llm_gateway_operator.objects import Finding, Found, Path
from llm_gateway_operator.secrets import ALLOWED_HOSTS, SecretSource, Value

# A file name holds 255 bytes. Two names that agree in the part kept and in the hash hold the same value.
_LONGEST_STEM = 200

API_KEY: Path = ("spec", "auth", "secretRef")


@dataclass(frozen=True, slots=True)
class Credentials:
    """`files`: path beside the document -> value. `by_place`: path in the resource -> path of its file,
    `origins`: path in the resource -> where the value was found.
    """

    files: Mapping[str, Secret] = field(default_factory=dict)
    by_place: Mapping[Path, str] = field(default_factory=dict)
    origins: Mapping[Path, str] = field(default_factory=dict)


def references(provider: LLMProvider) -> Iterator[tuple[Path, SecretRef]]:
    """Every reference to a Secret, with its path in the resource."""
    auth = provider.spec.auth
    if auth is not None and auth.secret_ref is not None:
        yield API_KEY, auth.secret_ref
    for index, header in enumerate(provider.spec.headers):
        if header.secret_ref is not None:
            yield ("spec", "headers", index, "secretRef"), header.secret_ref


def resolve(found: Found[LLMProvider], secrets: SecretSource) -> Credentials | Finding:
    """All of a provider's credentials, or why it is left out: without one no request could succeed."""
    provider = found.value
    if provider.spec.type is ProviderType.OPENAI and provider.spec.auth is None:
        return found.problem(
            ("spec", "auth"),
            "a provider of type OpenAI needs a credential: auth.secretRef, or auth.type: None",
            Reason.CREDENTIAL_MISSING,
        )
    files: dict[str, Secret] = {}
    by_place: dict[Path, str] = {}
    origins: dict[Path, str] = {}
    for path, ref in references(provider):
        answer = secrets.find(provider.metadata.namespace, ref)
        if not isinstance(answer, Value):
            return found.problem(path, answer.message, answer.reason)
        host = _host(provider)
        if host is not None and answer.hosts is not None and host not in answer.hosts:
            return found.problem(
                path, _elsewhere(provider, ref, host, answer.hosts), Reason.REF_NOT_PERMITTED
            )
        name = _file_name(provider.metadata.namespace, ref, answer.secret)
        files[name], by_place[path], origins[path] = answer.secret, name, answer.origin
    return Credentials(files, by_place, origins)


def _host(provider: LLMProvider) -> str | None:
    """Where its credentials go; None: nowhere."""
    default = OPENAI_BASE_URL if provider.spec.type is ProviderType.OPENAI else None
    address = provider.spec.base_url or default
    return urlsplit(address).hostname if address else None


def _elsewhere(provider: LLMProvider, ref: SecretRef, host: str, hosts: frozenset[str]) -> str:
    only = ", ".join(sorted(hosts)) or "no host"
    name = f"Secret {provider.metadata.namespace}/{ref.name}"
    return f"{name} may be sent to {only} only (its annotation {ALLOWED_HOSTS}), not to {host}"


def _file_name(namespace: str, ref: SecretRef, secret: Secret) -> str:
    stem = f"{namespace}.{ref.name}.{ref.key}"[:_LONGEST_STEM]
    return f"{stem}.{secret.fingerprint()}"

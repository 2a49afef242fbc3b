"""Which adapter speaks which provider's dialect: one line per type of provider."""

from collections.abc import Callable

from llm_gateway.providers.base import Adapter
from llm_gateway.providers.mock_adapter import MockAdapter
from llm_gateway.providers.openai import OpenAIAdapter
from llm_gateway.providers.openai_compatible import OpenAICompatibleAdapter
from llm_gateway_config import Provider, ProviderType

_MAKERS: dict[ProviderType, Callable[[Provider], Adapter]] = {
    ProviderType.OPENAI: OpenAIAdapter.of,
    ProviderType.OPENAI_COMPATIBLE: OpenAICompatibleAdapter.of,
    ProviderType.MOCK: MockAdapter.of,
}


def adapter(provider: Provider) -> Adapter:
    """The adapter of a provider of the document."""
    return _MAKERS[provider.type](provider)

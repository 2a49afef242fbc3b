"""Servers that speak OpenAI's chat completions (vLLM, Ollama, llama.cpp): an address of their own, often no key."""

from llm_gateway.providers.openai import OpenAIAdapter
from llm_gateway_config import Provider


class OpenAICompatibleAdapter(OpenAIAdapter):
    @classmethod
    def of(cls, provider: Provider) -> "OpenAICompatibleAdapter":
        """Raises ValueError without a base URL, of which there is no default."""
        return cls(
            base_url=provider.base_url or "",
            api_key=provider.api_key,
            organization=None,
            headers=provider.headers,
            stream_usage=provider.stream_usage,
        )

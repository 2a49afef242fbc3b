"""The mock's dialect is OpenAI's, so a request to it and its answer take the same code as real ones."""

from llm_gateway.providers.openai import OpenAIAdapter
from llm_gateway_config import Provider


class MockAdapter(OpenAIAdapter):
    @classmethod
    def of(cls, provider: Provider) -> "MockAdapter":
        # A name that exists nowhere (RFC 6761). No key and no headers: there is nobody to read them.
        return cls(
            base_url="http://mock.invalid/v1",
            api_key=None,
            organization=None,
            headers={},
            stream_usage=provider.stream_usage,
        )

"""Whether a gateway's configuration fits into the objects that carry it, said before the API server says it."""

from llm_gateway_operator.render.config import config_name
from llm_gateway_operator.render.credentials import credentials_name
from llm_gateway_operator.render.intent import Intent

# All values of a ConfigMap or of a Secret together, in bytes (MaxSecretSize in Kubernetes' validation).
LARGEST = 1 << 20


def too_large(intent: Intent) -> str | None:
    """What does not fit, as a sentence; None when all of it does."""
    document = len(intent.document.encode())
    if document > LARGEST:
        return (
            f"gateway.yaml is {document} bytes, and ConfigMap {config_name(intent.name)} holds at most {LARGEST}: "
            "serve fewer providers or models with this LLMGateway"
        )
    values = sum(len(value.reveal().encode()) for value in intent.credentials.values())
    if values > LARGEST:
        return (
            f"the credentials are {values} bytes, and Secret {credentials_name(intent.name)} holds at most "
            f"{LARGEST}: serve fewer providers with this LLMGateway"
        )
    return None

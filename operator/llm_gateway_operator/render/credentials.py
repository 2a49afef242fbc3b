"""The Secret with the credential files that the document names. Without credentials it is there and empty: pods mount
it.
"""

import base64
from typing import Any

from llm_gateway_operator.render.intent import Intent
from llm_gateway_operator.render.metadata import head


def credentials_name(name: str) -> str:
    return f"{name}-credentials"


def credentials(intent: Intent) -> dict[str, Any]:
    return {
        **head(intent, "v1", "Secret", credentials_name(intent.name)),
        "type": "Opaque",
        # Not `stringData`: that is never read back, so nobody owns it and a removed entry would stay.
        "data": {
            name: base64.b64encode(value.reveal().encode()).decode()
            for name, value in sorted(intent.credentials.items())
        },
    }

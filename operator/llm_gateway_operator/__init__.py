"""The operator: LLMProvider and LLMGateway objects in, the document `gateway.yaml` out."""

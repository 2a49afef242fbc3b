"""The data plane: serves an OpenAI-compatible API from one document."""

"""The version of this distribution, from its metadata."""

import importlib.metadata

VERSION = importlib.metadata.version("llm-gateway")

"""Texts that hold one YAML document, for tests of what becomes of its values."""

from llm_gateway_config.yaml12 import YamlDocument, scan_one


def sound(text: str, *, source: str) -> YamlDocument:
    """The document of a text with which nothing is wrong."""
    document, problems = scan_one(text, source=source)
    assert problems == []
    return document

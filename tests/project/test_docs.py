"""The pages say what is true: their examples load, their links lead somewhere, no setting or metric is missing."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_gateway.telemetry.instruments import Instruments
from llm_gateway_config import json_schema, load_text
from llm_gateway_testing.repository import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])

CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
EXAMPLES = [
    (page, example)
    for page in PAGES
    for example in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
]


@each_page
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("page", "example"), EXAMPLES)
def test_every_gateway_yaml_in_the_pages_loads(page: Path, example: str) -> None:
    loaded = load_text(example, source=page.name, env={"OPENAI_API_KEY": "sk-test"}, base=None, strict=True)
    assert loaded.warnings == ()
    assert loaded.config.providers.keys() == yaml.safe_load(example)["providers"].keys()


def test_every_field_is_documented() -> None:
    fields = set(field_names(json_schema()))
    assert len(fields) > 40
    assert {
        name for name in fields if f"`{name}`" not in CONFIGURATION and f"### {name}" not in CONFIGURATION
    } == set()


def field_names(schema: Any) -> list[str]:
    """The names of all properties, however deep."""
    if isinstance(schema, list):
        return [name for item in schema for name in field_names(item)]
    if not isinstance(schema, dict):
        return []
    own = list(schema["properties"]) if isinstance(schema.get("properties"), dict) else []
    return own + [name for item in schema.values() for name in field_names(item)]


def test_every_metric_is_documented() -> None:
    names = {family.name for family in Instruments("0").registry.families()}
    assert names
    documented = set(re.findall(r"^\| `(llm_gateway_\w+)` \|", CONFIGURATION, re.MULTILINE))
    assert documented == names

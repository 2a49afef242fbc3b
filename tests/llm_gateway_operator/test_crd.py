"""The CustomResourceDefinitions as data: that they are what the models say, and what holds for all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from llm_gateway_operator.api import crd
from llm_gateway_operator.api.cel import PARTS
from llm_gateway_operator.api.common import Part
from llm_gateway_operator.api.conditions import CONDITION_OF, ConditionType, Reason
from llm_gateway_operator.api.scalars import RULES
from llm_gateway_operator.api.schema import Schema, Unsuitable, schema_of, walk
from llm_gateway_testing.repository import ROOT

FORBIDDEN = {
    "$ref", "allOf", "anyOf", "default", "definitions", "discriminator", "nullable", "oneOf", "patternProperties",
    "readOnly", "title", "uniqueItems", "writeOnly",
}  # fmt: skip
# 1.25 is the floor; these came later.
LATER_IN_RULES = {"fieldPath", "messageExpression", "optionalOldSelf", "reason"}
KIND_IDS = [kind.name for kind in crd.KINDS]


def schemas(kind: crd.Kind) -> Iterator[tuple[str, Schema]]:
    found: list[tuple[str, Schema]] = []
    [version] = crd.definition(kind)["spec"]["versions"]
    walk(version["schema"]["openAPIV3Schema"], lambda schema, path: found.append((".".join(path), schema)))
    assert len(found) > 50
    yield from found


@pytest.mark.parametrize("kind", crd.KINDS, ids=KIND_IDS)
def test_the_committed_file_is_what_the_models_say(kind: crd.Kind) -> None:
    committed = (ROOT / "crds" / kind.file).read_text(encoding="utf-8")
    assert committed == crd.text(kind)
    assert yaml.safe_load(committed) == crd.definition(kind)
    # Above that, `kubectl apply` without --server-side cannot note what it applied.
    assert len(committed) < 256 * 1024


def test_nothing_else_is_in_the_folder() -> None:
    assert {path.name for path in (ROOT / "crds").iterdir()} == {kind.file for kind in crd.KINDS}


def test_check_tells_a_file_that_was_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main([str(tmp_path)]) == 0
    assert crd.main([str(tmp_path), "--check"]) == 0
    edited = tmp_path / "llmgateways.yaml"
    edited.write_text(edited.read_text().replace("maxItems: 16", "maxItems: 17"))
    assert crd.main([str(tmp_path), "--check"]) == 1
    assert f"{edited} is not what the models say" in capsys.readouterr().err
    edited.unlink()
    assert crd.main([str(tmp_path), "--check"]) == 1


@pytest.mark.parametrize("kind", crd.KINDS, ids=KIND_IDS)
def test_the_schema_is_structural_and_bounded(kind: crd.Kind) -> None:
    for path, schema in schemas(kind):
        assert not schema.keys() & FORBIDDEN, path
        assert "type" in schema, path
        if path not in ("", "apiVersion", "kind", "metadata"):
            assert_bounded(path, schema)


def assert_bounded(path: str, schema: Schema) -> None:
    match schema["type"]:
        case "array":
            assert "maxItems" in schema, path
            assert schema["x-kubernetes-list-type"] in ("map", "atomic"), path
            keys = schema.get("x-kubernetes-list-map-keys", [])
            assert set(keys) <= set(schema["items"].get("required", [])), path
        case "string":
            assert schema.keys() & {"maxLength", "enum", "format"}, path
        case "object":
            assert schema.keys() & {"properties", "maxProperties", "x-kubernetes-preserve-unknown-fields"}, (
                path
            )


@pytest.mark.parametrize("kind", crd.KINDS, ids=KIND_IDS)
def test_every_field_is_described(kind: crd.Kind) -> None:
    for path, schema in schemas(kind):
        for name, field in schema.get("properties", {}).items():
            if (path, name) != ("", "metadata"):
                assert field.get("description"), f"{path}.{name}"


@pytest.mark.parametrize("kind", crd.KINDS, ids=KIND_IDS)
def test_rules_are_ones_that_the_oldest_server_knows(kind: crd.Kind) -> None:
    rules = [rule for _, schema in schemas(kind) for rule in schema.get(RULES, [])]
    assert len(rules) > 10
    for rule in rules:
        assert set(rule) == {"rule", "message"}
        assert not rule.keys() & LATER_IN_RULES
        assert "\n" not in rule["message"]


def test_every_rule_is_in_a_schema() -> None:
    used = [
        rule["rule"] for kind in crd.KINDS for _, schema in schemas(kind) for rule in schema.get(RULES, [])
    ]
    for part, rules in PARTS.items():
        for rule in rules:
            assert rule["rule"] in used, part.__name__


def test_lists_of_named_things_are_maps() -> None:
    keys = {
        path: schema["x-kubernetes-list-map-keys"]
        for kind in crd.KINDS
        for path, schema in schemas(kind)
        if path.startswith("spec") and schema.get("x-kubernetes-list-type") == "map"
    }
    assert keys == {
        "spec.headers": ["name"],
        "spec.listeners": ["name"],
        "spec.models": ["name"],
        "spec.podTemplate.spec.containers": ["name"],
        "spec.podTemplate.spec.initContainers": ["name"],
        "spec.providers.refs": ["name"],
        "spec.routing.models": ["name"],
        "spec.routing.models.[].targets": ["provider", "model"],
    }


def test_every_reason_of_a_finding_belongs_to_a_condition() -> None:
    assert {CONDITION_OF[reason] for reason in CONDITION_OF} == {
        ConditionType.ACCEPTED,
        ConditionType.RESOLVED_REFS,
    }
    assert Reason.NO_MODELS not in CONDITION_OF


class Undescribed(Part):
    name: Annotated[str, Field(max_length=3)]


class Unbounded(Part):
    names: tuple[Annotated[str, Field(max_length=3)], ...]
    """Names."""


class Endless(Part):
    name: str
    """A name."""


class Either(Part):
    name: Annotated[str, Field(max_length=3)] | int
    """A name or a number."""


class Pair(Part):
    pair: tuple[int, int]
    """Two numbers."""


UNSUITABLE: dict[str, tuple[type[Part], Any]] = {
    "a field without a description": (Undescribed, "Undescribed.name has no description"),
    "a list without a bound": (Unbounded, "a list without a bound"),
    "text without a bound": (Endless, "text without a bound"),
    "a union": (Either, "anyOf"),
    "a list of fixed places": (Pair, "prefixItems"),
}


@pytest.mark.parametrize(("model", "says"), UNSUITABLE.values(), ids=UNSUITABLE)
def test_a_model_that_a_crd_cannot_say_is_refused(model: type[Part], says: str) -> None:
    with pytest.raises(Unsuitable, match=says):
        schema_of(model)

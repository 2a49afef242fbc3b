"""The CustomResourceDefinitions, generated from the models.

`python -m llm_gateway_operator.api.crd [FOLDER]` writes FOLDER/*.yaml (default: crds), with `--check` it compares.
Exit codes: 0 all is well, 1 a file differs, 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llm_gateway_operator.api.cel import PARTS
from llm_gateway_operator.api.common import GROUP, VERSION, Part
from llm_gateway_operator.api.gateway import GatewaySpec, LLMGateway
from llm_gateway_operator.api.provider import LLMProvider, ProviderSpec
from llm_gateway_operator.api.scalars import RULES
from llm_gateway_operator.api.schema import Schema, descriptions, schema_of
from llm_gateway_operator.api.status import GatewayStatus, ProviderStatus

COMMAND = "python -m llm_gateway_operator.api.crd"
_HEAD = f"# Generated from the models by `{COMMAND}`: edit those.\n"

_STANDARD = {
    "apiVersion": "Version of this shape of the object.",
    "kind": "Kind of the object.",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `wide`: only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False

    def rendered(self) -> dict[str, Any]:
        column = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return {**column, "priority": 1} if self.wide else column


@dataclass(frozen=True, slots=True)
class Kind:
    """What the API server is told of one kind."""

    model: type[Part]
    spec: type[Part]
    status: type[Part]
    plural: str
    short: str
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        return self.model.__name__

    @property
    def file(self) -> str:
        return f"{self.plural}.yaml"


def _condition(kind: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

KINDS = (
    Kind(
        LLMGateway,
        GatewaySpec,
        GatewayStatus,
        "llmgateways",
        "llmgw",
        (
            Column("Ready", _condition("Ready")),
            Column("Reason", _condition("Ready", "reason")),
            Column("Providers", ".status.providers"),
            Column("Models", ".status.models", "integer"),
            Column("Replicas", ".status.replicas"),
            _AGE,
            Column("Programmed", _condition("Programmed"), wide=True),
            Column("Revision", ".status.revision", wide=True),
            Column("URL", ".status.url", wide=True),
        ),
    ),
    Kind(
        LLMProvider,
        ProviderSpec,
        ProviderStatus,
        "llmproviders",
        "llmprov",
        (
            Column("Type", ".spec.type"),
            Column("Ready", _condition("Ready")),
            Column("Healthy", _condition("Healthy")),
            Column("Models", ".status.models", "integer"),
            Column("Gateways", ".status.gatewayCount", "integer"),
            _AGE,
            Column("Reason", _condition("Ready", "reason"), wide=True),
        ),
    ),
)


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind as plain data."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _object(kind)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column.rendered() for column in kind.columns],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["llm"],
            },
            "versions": [version],
        },
    }


def _object(kind: Kind) -> Schema:
    said = {name: {"description": text, "type": "string"} for name, text in _STANDARD.items()}
    spec = {"description": descriptions(kind.model)["spec"], **schema_of(kind.spec)}
    status = {"description": "What was found; written by the operator.", **schema_of(kind.status)}
    schema: Schema = {
        "description": (kind.model.__doc__ or "").strip(),
        "type": "object",
        "required": ["spec"],
        "properties": {**said, "metadata": {"type": "object"}, "spec": spec, "status": status},
    }
    if kind.model in PARTS:
        schema[RULES] = [dict(rule) for rule in PARTS[kind.model]]
    return schema


def text(kind: Kind) -> str:
    """The file of one kind, byte for byte the same at each run."""
    return _HEAD + yaml.dump(definition(kind), Dumper=_Dumper, sort_keys=False, width=116, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Without anchors, which a rule that stands in several places would get."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Write the CustomResourceDefinitions.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("crds"), metavar="FOLDER")
    parser.add_argument("--check", action="store_true", help="compare instead: 1 if a file differs")
    options = parser.parse_args(arguments)
    files = {options.folder / kind.file: text(kind) for kind in KINDS}
    return _check(files) if options.check else _write(files)


def _write(files: Mapping[Path, str]) -> int:
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return 0


def _check(files: Mapping[Path, str]) -> int:
    differing = [
        path for path, content in files.items() if not path.exists() or path.read_text("utf-8") != content
    ]
    for path in differing:
        print(f"{path} is not what the models say: run `{COMMAND}`", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())

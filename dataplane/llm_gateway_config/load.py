"""Text to configuration, or to everything that is wrong with it.

Rule: all or nothing, and all at once. Either the whole document is fit to be served (less providers that are
left out, each with a warning), or `Refused` carries every problem found, and whoever holds a configuration
keeps it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from llm_gateway_config import checks, credentials
from llm_gateway_config.document import GatewayConfig, RoutedModel
from llm_gateway_config.files import is_special
from llm_gateway_config.frozen import FrozenMap
from llm_gateway_config.problems import (
    Path,
    Problem,
    Refused,
    describe,
    in_order,
    kind_of,
    line_of,
    path_text,
    show_value,
)
from llm_gateway_config.secret import Credential
from llm_gateway_config.show import show
from llm_gateway_config.substitute import malformed, substitute, variables
from llm_gateway_config.yaml12 import LARGEST_TEXT, YamlDocument, decode, scan_one

__all__ = ["Loaded", "Refused", "load_file", "load_text", "show"]

GROUP = "llmgateway.dev/"
"""The API group of the custom resources."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document fit to be served.

    `config`: complete, credentials read, without the providers of `left_out` and the targets that name them;
    a routed model may have no target left. `revision`: the document's own, else a hash of it and of its
    credentials. `warnings`: for the log, sorted by line; they contain `unknown`, the unknown fields.
    `left_out`: provider to reason. `files`: credential files and authorities that the document names, the missing
    too: a change of one is a change of it.
    """

    config: GatewayConfig
    revision: str
    warnings: tuple[Problem, ...]
    unknown: tuple[Problem, ...]
    left_out: FrozenMap[str]
    # Not in the repr: someone writes {file: ${API_KEY}} some day.
    files: tuple[FilePath, ...] = field(repr=False)


def load_file(path: FilePath | str, env: Mapping[str, str], strict: bool = False) -> Loaded:
    """As `load_text`, of a file; credential files are relative to its folder."""
    path = FilePath(path)
    source = str(path)
    try:
        if is_special(path):
            raise Refused([Problem(source, None, "", "is no regular file")])
        with path.open("rb") as file:
            raw = file.read(LARGEST_TEXT + 1)
    except OSError as error:
        problem = Problem(source, None, "", f"cannot be read: {credentials.plain_reason(error)}")
        raise Refused([problem]) from error
    return load_text(decode(raw, source=source), source=source, env=env, base=path.parent, strict=strict)


def load_text(
    text: str, *, source: str, env: Mapping[str, str], base: FilePath | None = None, strict: bool = False
) -> Loaded:
    """The configuration that `text` describes, or Refused.

    `source`: the file's name for messages. `env`: the variables for `${...}`. `base`: the folder that file
    names are relative to, the current one when None. `strict`: unknown fields and unknown enum values are
    refused as well.
    """
    document, problems = scan_one(text, source=source)
    _refuse_foreign(document, source)
    place = _Place(document, source, env)
    problems += malformed(document, source=source)
    data, unset = substitute(document, env, as_text=credentials.is_credential)
    later = checks.contract_finding(data)
    if later is not None:
        raise Refused([place.problem(*later)])
    problems += place.unset(unset)
    missing = credentials.resolve(data, unset, place.credential_variables(), base or FilePath())
    revision = _revision(data)
    _anchor(data, base)
    draft = _Draft.of(data, place)
    problems += _elsewhere(draft.errors, problems)
    newer = [*draft.unknown, *draft.unknown_values, *draft.defaulted]
    if strict:
        problems += newer
    if problems:
        # An unknown field is often the cause of an error beside it, so what would be a warning is told along.
        raise Refused([*problems, *newer])
    left_out = {lacking.provider: lacking.reason for lacking in reversed(missing)} | draft.dropped
    warnings = [*draft.unknown, *draft.compromises(), *draft.warnings, *map(place.missing, missing)]
    config = _without(draft.config(), left_out)
    return Loaded(
        config=config,
        revision=config.revision or revision,
        warnings=in_order(warnings),
        unknown=in_order(draft.unknown),
        left_out=FrozenMap(left_out),
        files=(*credentials.files(data, base or FilePath()), *_authorities(config)),
    )


def _refuse_foreign(document: YamlDocument, source: str) -> None:
    """Refused for what is no gateway.yaml at all; nothing else in it is worth a word."""
    data = document.data
    if data is None:
        message = "holds nothing; examples/gateway.yaml shows what a document looks like"
    elif not isinstance(data, dict):
        message = f"must be a map with providers and routing, is {kind_of(data)}"
    elif str(data.get("apiVersion")).startswith(GROUP):
        message = "this is a custom resource; serve the folder with: llm-gateway-operator local FOLDER"
    elif {"apiVersion", "kind"} <= set(data):
        message = "this is a Kubernetes object, not a gateway.yaml"
    else:
        return
    raise Refused([Problem(source, document.line, "", message)])


@dataclass(frozen=True, slots=True)
class _Place:
    """Where things stand in the document, and how messages may speak of them."""

    document: YamlDocument
    source: str
    env: Mapping[str, str]

    def problem(self, path: Path, message: str) -> Problem:
        return Problem(self.source, line_of(path, self.document.lines), path_text(path), message)

    def origin(self, path: Path) -> str | None:
        """Words for a value that came from the environment, which messages must not show."""
        names = [name for name in variables(self.document, path) if self.env.get(name)]
        return f"the value of {' and '.join(f'${{{name}}}' for name in names)}" if names else None

    def show(self, path: Path, value: object) -> str:
        return self.origin(path) or show_value(value)

    def unset(self, unset: Mapping[Path, str]) -> list[Problem]:
        """Errors for variables that are not set; a credential's only takes out its provider."""
        return [
            self.problem(path, f"the variable {name} is not set; ${{{name}:-default}} gives it a default")
            for path, name in unset.items()
            if credentials.owner(path) is None
        ]

    def credential_variables(self) -> dict[Path, tuple[str, ...]]:
        paths = filter(credentials.owner, self.document.styles)
        return {path: names for path in paths if (names := variables(self.document, path))}

    def missing(self, missing: credentials.Missing) -> Problem:
        return self.problem(missing.path, f"provider {missing.provider} is left out: {missing.reason}")

    def describe(self, details: Iterable[ErrorDetails]) -> list[Problem]:
        return describe(
            details,
            self.document.lines,
            self.source,
            model=GatewayConfig,
            scalars=self.document.styles,
            origin=self.origin,
        )


@dataclass(frozen=True, slots=True)
class _Draft:
    """Data that was looked at once. `unknown_values`: of providers, which are then dropped. `defaulted`: of fields that
    are then served as if absent.
    """

    data: dict[str, Any]
    errors: list[Problem]
    unknown: list[Problem]
    unknown_values: list[Problem]
    defaulted: list[Problem]
    warnings: list[Problem]
    unfit: tuple[str, ...]

    @classmethod
    def of(cls, data: dict[str, Any], place: _Place) -> "_Draft":
        details = _errors(data)
        # Of a provider of unknown type nothing else can be judged.
        foreign = {detail["loc"][:2] for detail in details if _is_unknown_type(detail)}
        details = [d for d in details if d["loc"][:2] not in foreign or _is_unknown_type(d)]
        unknown = [d for d in details if d["type"] == "extra_forbidden"]
        values = [d for d in details if _is_unknown_value(d)]
        defaulted = [d for d in details if _is_unknown_strategy(d)]
        known = [d for d in details if d["type"] != "extra_forbidden" and not _is_unknown_value(d)]
        rest = [d for d in known if not _is_unknown_strategy(d)]
        view = checks.View(data, place.show)
        found = [place.problem(*finding) for check in checks.ERRORS for finding in check(view)]
        return cls(
            data=data,
            errors=place.describe(rest) + found,
            unknown=place.describe(unknown),
            unknown_values=place.describe(values),
            defaulted=place.describe(defaulted),
            warnings=[place.problem(*finding) for check in checks.WARNINGS for finding in check(view)],
            unfit=tuple(str(detail["loc"][1]) for detail in values),
        )

    @property
    def dropped(self) -> dict[str, str]:
        """Providers with an unknown value, and why."""
        pairs = zip(self.unfit, self.unknown_values, strict=True)
        return {provider: f"{problem.path} {problem.message}" for provider, problem in pairs}

    def compromises(self) -> Iterator[Problem]:
        """Warnings about the dropped providers and the defaulted fields."""
        for provider, problem in zip(self.unfit, self.unknown_values, strict=True):
            yield replace(problem, message=f"{problem.message}; provider {provider} is left out")
        for problem in self.defaulted:
            yield replace(problem, message=f"{problem.message}; the default is served instead")

    def config(self) -> GatewayConfig:
        """The configuration without the dropped providers; only of a draft without errors."""
        data = self.data
        if self.dropped:
            kept = {name: part for name, part in data["providers"].items() if name not in self.dropped}
            data = {**data, "providers": kept}
        if self.defaulted:
            routing = {name: part for name, part in data["routing"].items() if name != "strategy"}
            data = {**data, "routing": routing}
        return GatewayConfig.model_validate(data, extra="ignore")


def _errors(data: dict[str, Any]) -> list[ErrorDetails]:
    try:
        GatewayConfig.model_validate(data, extra="forbid")
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _is_unknown_value(detail: ErrorDetails) -> bool:
    """An enum value of a provider that this version does not know: it takes out that provider only."""
    return detail["type"] == "enum" and detail["loc"][0] == "providers" and isinstance(detail["input"], str)


def _is_unknown_strategy(detail: ErrorDetails) -> bool:
    """A strategy that this version does not know: the default serves the same targets, in another order."""
    return (
        detail["type"] == "enum"
        and detail["loc"] == ("routing", "strategy")
        and isinstance(detail["input"], str)
    )


def _is_unknown_type(detail: ErrorDetails) -> bool:
    return _is_unknown_value(detail) and detail["loc"][2:] == ("type",)


def _elsewhere(later: list[Problem], earlier: list[Problem]) -> list[Problem]:
    """Problems at other places than the earlier ones: an unset variable is why a field `is required`."""
    places = {(problem.line, problem.path) for problem in earlier}
    return [problem for problem in later if (problem.line, problem.path) not in places]


def _revision(data: object) -> str:
    """12 hex digits over the document and the fingerprints of its credentials."""
    canonical = json.dumps(data, sort_keys=True, default=_fingerprint)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _fingerprint(credential: object) -> list[str | None]:
    assert isinstance(credential, Credential), "data of YAML holds nothing else"
    return [credential.file, credential.fingerprint()]


def _anchor(data: dict[str, Any], base: FilePath | None) -> None:
    """Makes the paths of certificates relative to the document's folder."""
    providers = data.get("providers")
    holders = [data.get("server"), *(providers.values() if isinstance(providers, dict) else ())]
    for holder in holders:
        tls = holder.get("tls") if isinstance(holder, dict) else None
        for key in ("cert_path", "key_path", "ca_path"):
            if base is not None and isinstance(tls, dict) and isinstance(tls.get(key), str) and tls[key]:
                tls[key] = str(base / tls[key])


def _authorities(config: GatewayConfig) -> list[FilePath]:
    return [
        FilePath(provider.tls.ca_path) for provider in config.providers.values() if provider.tls is not None
    ]


def _without(config: GatewayConfig, left_out: Mapping[str, str]) -> GatewayConfig:
    """The configuration without some providers and without the targets that name them."""
    if not left_out:
        return config
    providers = {name: provider for name, provider in config.providers.items() if name not in left_out}
    models = {
        name: RoutedModel(
            targets=tuple(target for target in model.targets if target.provider not in left_out)
        )
        for name, model in config.routing.models.items()
    }
    routing = config.routing.model_copy(update={"models": FrozenMap(models)})
    return config.model_copy(update={"providers": FrozenMap(providers), "routing": routing})

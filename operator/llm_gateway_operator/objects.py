"""What is known: the objects by kind and key, each with the place where it was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from llm_gateway_config.problems import Problem, line_of, path_text
from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.api.secret import Secret

T = TypeVar("T", bound=LLMProvider | LLMGateway | Secret)
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Finding(Problem):
    """A problem of one object, `kind` and `key`, with the reason of the condition that it makes false."""

    kind: str
    key: Key
    reason: Reason


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object stands. `lines` has the line of each path in its document, counted from 1.

    Of an object of an API server `file` is the kind and the key, and there are no lines.
    """

    file: str
    line: int | None
    lines: Mapping[Path, int]

    def problem(self, path: Path, message: str) -> Problem:
        """A problem at `path`, on its line or on that of the nearest path around it."""
        return Problem(self.file, line_of(path, self.lines) or self.line, path_text(path), message)

    @property
    def place(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """An object and its place."""

    value: T
    source: Source

    @property
    def key(self) -> Key:
        return Key(self.value.metadata.namespace, self.value.metadata.name)

    def problem(self, path: Path, message: str, reason: Reason = Reason.INVALID) -> Finding:
        said = self.source.problem(path, message)
        return Finding(said.file, said.line, said.path, said.message, self.value.kind, self.key, reason)


@dataclass(frozen=True, slots=True)
class Objects:
    """All objects that could be read. `unreadable` names those that have problems of their own.

    A rule across objects says nothing about a name in `unreadable`: its problem has been told already.
    `namespaces`: labels by name; of one that is not there only the name is known.
    """

    providers: Mapping[Key, Found[LLMProvider]]
    gateways: Mapping[Key, Found[LLMGateway]]
    secrets: Mapping[Key, Found[Secret]]
    unreadable: frozenset[tuple[str, Key]] = frozenset()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def is_unreadable(self, kind: str, key: Key) -> bool:
        return (kind, key) in self.unreadable

    def labels_of_namespace(self, name: str) -> Mapping[str, str]:
        # The API server puts this label on every namespace.
        return {**self.namespaces.get(name, {}), "kubernetes.io/metadata.name": name}

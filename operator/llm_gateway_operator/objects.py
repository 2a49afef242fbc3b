"""What is known: the objects by kind and key, each with the place where it was written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from llm_gateway_config.problems import Problem, line_of, path_text
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.api.secret import Secret

T = TypeVar("T")
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object stands. `lines` has the line of each path in its document, counted from 1."""

    file: str
    line: int
    lines: Mapping[Path, int]

    def problem(self, path: Path, message: str) -> Problem:
        """A problem at `path`, on its line or on that of the nearest path around it."""
        return Problem(self.file, line_of(path, self.lines) or self.line, path_text(path), message)

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """An object and its place."""

    value: T
    source: Source

    def problem(self, path: Path, message: str) -> Problem:
        return self.source.problem(path, message)


@dataclass(frozen=True, slots=True)
class Objects:
    """All objects that could be read. `unreadable` names those that have problems of their own.

    A rule across objects says nothing about a name in `unreadable`: its problem has been told already.
    """

    providers: Mapping[Key, Found[LLMProvider]]
    gateways: Mapping[Key, Found[LLMGateway]]
    secrets: Mapping[Key, Found[Secret]]
    unreadable: frozenset[tuple[str, Key]] = frozenset()

    def is_unreadable(self, kind: str, key: Key) -> bool:
        return (kind, key) in self.unreadable

"""`${VARIABLE}` in the values of a document.

Rule: text is replaced after parsing, so a value can never become structure. Plain and double-quoted scalars
are looked at, single-quoted and block scalars are literal, as in a shell. A plain scalar gets its type after
the replacement (`port: ${PORT:-8080}` is a number); a quoted one stays text.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from llm_gateway_config.problems import Path, Problem, path_text
from llm_gateway_config.scalars import resolve_plain
from llm_gateway_config.yaml12 import YamlDocument

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# `$${`, `${NAME}`, `${NAME:-default}` (a default holds neither } nor ${), or a `${` that is none of these.
_TOKEN = re.compile(rf"\$\$\{{|\$\{{({_NAME})(?::-((?:(?!\$\{{)[^}}])*))?\}}|\$\{{")
_SUBSTITUTED = frozenset({"plain", "double"})


def _never(path: Path) -> bool:
    return False


def substitute(
    document: YamlDocument, env: Mapping[str, str], *, as_text: Callable[[Path], bool] = _never
) -> tuple[Any, dict[Path, str]]:
    """The document's data with variables replaced, and for each path that lacks one, the variable's name.

    A path that lacks a variable holds None. A variable that is set but empty counts as set, but takes the
    default where there is one, as in a shell. `as_text`: paths whose plain scalars stay text (a key of digits
    is still a key).
    """
    unset: dict[Path, str] = {}

    def value(node: Any, path: Path) -> Any:
        if isinstance(node, dict):
            return {key: value(item, (*path, key)) for key, item in node.items()}
        if isinstance(node, list):
            return [value(item, (*path, index)) for index, item in enumerate(node)]
        if not isinstance(node, str) or "${" not in node or document.styles.get(path) not in _SUBSTITUTED:
            return node
        text, missing = _expand(node, env)
        if missing is not None:
            unset[path] = missing
            return None
        return text if document.styles[path] == "double" or as_text(path) else resolve_plain(text)

    return value(document.data, ()), unset


def variables(document: YamlDocument, path: Path) -> tuple[str, ...]:
    """Names of the variables that the scalar at `path` mentions."""
    node = _at(document.data, path) if document.styles.get(path) in _SUBSTITUTED else None
    if not isinstance(node, str):
        return ()
    return tuple(found[1] for found in _TOKEN.finditer(node) if found[1])


def malformed(document: YamlDocument, *, source: str | None = None) -> list[Problem]:
    """Every `${` that begins no variable."""
    message = "${ begins no variable here: write ${NAME} or ${NAME:-default}, or $${ for a literal ${"
    return [
        Problem(source, document.lines.get(path), path_text(path), message)
        for path, style in document.styles.items()
        if style in _SUBSTITUTED and _is_malformed(_at(document.data, path))
    ]


def escape(value: str) -> str:
    """Text that `substitute` gives back as `value`: for renderers, whose values must not read the
    environment.
    """
    return value.replace("${", "$${")


def _is_malformed(node: Any) -> bool:
    return isinstance(node, str) and "${" in node and any(found[0] == "${" for found in _TOKEN.finditer(node))


def _expand(text: str, env: Mapping[str, str]) -> tuple[str, str | None]:
    """The text with its variables replaced, and the first variable that has neither value nor default."""
    missing: list[str] = []

    def token(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if name is None:
            return "${"
        held = env.get(name)
        if default is not None:
            return held or default
        if held is None:
            missing.append(name)
        return held or ""

    return _TOKEN.sub(token, text), missing[0] if missing else None


def _at(node: Any, path: Path) -> Any:
    for part in path:
        node = node[part]
    return node

"""YAML 1.2 text to plain data, with the line of every path.

Rule: PyYAML finds the structure, this module gives the scalars their types, by the core schema of YAML 1.2.2
(10.3): `yes`, `on` and `0777` are text. Whatever a reader could misunderstand is a problem with a line: a key
written twice, a key that is not text, a tag, a merge key.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from llm_gateway_config.problems import Path, Problem, Refused, path_text
from llm_gateway_config.scalars import IMPLICIT_TAG, TAGGED, is_ambiguous, resolve_plain, show_scalar

try:
    from yaml._yaml import CParser as _Composer
except ImportError:  # PyYAML built without libyaml: the same, twenty times slower

    class _Composer(  # type: ignore[no-redef]
        yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer
    ):
        def __init__(self, stream: str) -> None:
            yaml.reader.Reader.__init__(self, stream)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)
            yaml.composer.Composer.__init__(self)


LARGEST_TEXT = 10 * 1024 * 1024
"""Bytes of UTF-8."""
MOST_NODES = 200_000
DEEPEST = 100

_MOST_OPEN_ON_A_LINE = 1000
_STYLES = {"'": "single", '"': "double", "|": "literal", ">": "folded"}
_CORE = "tag:yaml.org,2002:"
# JSON writes characters beyond U+FFFF as two escapes, which YAML does not know.
_SURROGATE_PAIR = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document.

    `data`: dict, list, str, int, float, bool or None. `lines`: line of each path, counted from 1 in the whole
    text (for an entry of a map that of its key). `styles`: for each path of a scalar `plain`, `double`,
    `single`, `literal` or `folded`. `line`: its first line. `doubtful`: plain scalars that YAML 1.1 and 1.2
    read differently, as written.
    """

    data: Any
    lines: Mapping[Path, int]
    styles: Mapping[Path, str]
    line: int
    doubtful: tuple[tuple[Path, str], ...] = ()


def decode(raw: bytes, *, source: str) -> str:
    """Bytes of a file as text. Refused when they are not UTF-8 or too many."""
    if len(raw) > LARGEST_TEXT:
        raise Refused([_too_large(source)])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Refused([Problem(source, line, "", "is not UTF-8 text")]) from error


def scan(text: str, *, source: str) -> tuple[list[YamlDocument], list[Problem]]:
    """The documents of `text`, those without content left out, and what is wrong with them.

    Refused when that leaves nothing to go on with.
    """
    text = _sound(text, source)
    problems: list[Problem] = []
    documents = [_build(node, source, problems) for node in _compose(text, source)]
    return [document for document in documents if document.data is not None], problems


def scan_one(text: str, *, source: str) -> tuple[YamlDocument, list[Problem]]:
    """As `scan`, of a text that holds one document; one without content has None as data."""
    documents, problems = scan(text, source=source)
    for extra in documents[1:2]:
        message = f"is a second document; one file holds one (the first begins at line {documents[0].line})"
        problems.append(Problem(source, extra.line, "", message))
    return (documents[0] if documents else YamlDocument(None, {}, {}, 1)), problems


def ambiguous(document: YamlDocument, *, source: str | None = None) -> list[Problem]:
    """Plain scalars that readers of YAML 1.1 (kubectl among them) and of 1.2 take for different values."""
    return [
        Problem(
            source, document.lines.get(path), path_text(path), f"YAML readers disagree about {text}: quote it"
        )
        for path, text in document.doubtful
    ]


def _too_large(source: str) -> Problem:
    return Problem(source, None, "", f"is larger than {LARGEST_TEXT // 1024 // 1024} MiB")


def _too_deep(source: str, line: int | None) -> Problem:
    return Problem(source, line, "", f"is nested deeper than {DEEPEST} levels")


def _sound(text: str, source: str) -> str:
    """The text that goes to the parser. Refused for what libyaml would misread or choke on."""
    if len(text) > LARGEST_TEXT:
        raise Refused([_too_large(source)])
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise Refused([Problem(source, line, "", "holds a NUL character")])
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise Refused([Problem(source, line, "", "is not UTF-8 text")]) from error
    if size > LARGEST_TEXT:
        raise Refused([_too_large(source)])
    _bound_line_depth(text, source)
    text = text.removeprefix("\ufeff")
    return _SURROGATE_PAIR.sub(_join_surrogates, text) if text.lstrip().startswith(("{", "[")) else text


def _bound_line_depth(text: str, source: str) -> None:
    # Brackets opened on one line cost libyaml quadratic time: 100 KB of them took it 20 s.
    for number, line in enumerate(text.split("\n"), 1):
        openings = line.count("[") + line.count("{")
        if (
            openings > _MOST_OPEN_ON_A_LINE
            and openings - line.count("]") - line.count("}") > _MOST_OPEN_ON_A_LINE
        ):
            raise Refused([_too_deep(source, number)])


def _join_surrogates(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return pair[1] + chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


class _Untyped(_Composer):
    """Composes nodes; those without an explicit tag get `IMPLICIT_TAG`. Refused as soon as there are too many."""

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self._source = source
        self._nodes = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        return IMPLICIT_TAG

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        # PyYAML calls this before each node.
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise Refused([Problem(self._source, None, "", f"holds more than {MOST_NODES} values")])

    def ascend_resolver(self) -> None:
        pass


def _compose(text: str, source: str) -> Iterator[yaml.Node]:
    try:
        composer = _Untyped(text, source)
        while composer.check_node():
            node = composer.get_node()
            assert node is not None, "check_node said that there is one"
            yield node
    except yaml.YAMLError as error:
        raise Refused([_syntax(error, text, source)]) from None
    except RecursionError:
        raise Refused([_too_deep(source, None)]) from None


def _syntax(error: yaml.YAMLError, text: str, source: str) -> Problem:
    line: int | None
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Problem(source, line, "", "holds a control character that YAML does not allow")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark is not None else None
    what = str(getattr(error, "problem", None) or "cannot be read")
    if "nesting depth" in what:
        return _too_deep(source, line)
    context = getattr(error, "context", None)
    where = f" {context}" if context else ""
    begun = getattr(error, "context_mark", None)
    if context and begun is not None and begun.line + 1 != line:
        where += f" that begins at line {begun.line + 1}"
    return Problem(source, line, "", f"is not valid YAML: {what}{where}{_hint(text, line)}")


def _hint(text: str, line: int | None) -> str:
    lines = text.splitlines()
    near = "\n".join(lines[max(0, (line or 1) - 2) : line or 1])
    if re.search(r"[{\[][^\"']*\$\{", near):
        return '; inside { } and [ ] a ${VARIABLE} must be quoted: "${VARIABLE}"'
    if any(row.lstrip(" ").startswith("\t") for row in near.split("\n")):
        return "; indent with spaces, not tabs"
    return ""


def _build(root: yaml.Node, source: str, problems: list[Problem]) -> YamlDocument:
    builder = _Builder(source, problems)
    data = builder.value(root, (), root.start_mark.line + 1)
    return YamlDocument(
        data, builder.lines, builder.styles, root.start_mark.line + 1, tuple(builder.doubtful)
    )


class _Builder:
    """Walks the nodes of one document once; what is wrong goes to `problems`, and it goes on where it can."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.lines: dict[Path, int] = {}
        self.styles: dict[Path, str] = {}
        self.doubtful: list[tuple[Path, str]] = []
        self._source = source
        self._problems = problems
        self._nodes = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: Path, line: int) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise Refused(
                [
                    *self._problems,
                    self._problem(line, (), f"holds more than {MOST_NODES} values, aliases counted"),
                ]
            )
        self.lines[path] = line
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, line)
        if id(node) in self._open:
            raise Refused(
                [*self._problems, self._problem(line, path, "an alias points to what it stands in")]
            )
        if len(path) >= DEEPEST:
            raise Refused([*self._problems, _too_deep(self._source, line)])
        self._open.add(id(node))
        built = self._map(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        self._open.discard(id(node))
        self._check_tag(node, path, line, "map" if isinstance(node, yaml.MappingNode) else "seq")
        return built

    def _list(self, node: yaml.Node, path: Path) -> list[Any]:
        return [self.value(item, (*path, i), item.start_mark.line + 1) for i, item in enumerate(node.value)]

    def _map(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path, line)
            if key is None:
                continue
            if key in built:
                first = self.lines[(*path, key)]
                self._add(line, (*path, key), f"is written twice, first at line {first}")
                continue
            built[key] = self.value(value_node, (*path, key), line)
        return built

    def _key(self, node: yaml.Node, path: Path, line: int) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._add(line, path, "has a key that is not text")
            return None
        if not node.style and node.value == "<<":
            self._add(line, path, "merge keys (<<) are not part of YAML 1.2: write the fields out")
            return None
        key = resolve_plain(node.value) if not node.style and node.tag == IMPLICIT_TAG else node.value
        if isinstance(key, str) and not node.style and is_ambiguous(key):
            self.doubtful.append(((*path, key), key))
        if not isinstance(key, str):
            self._add(line, path, f"has the key {show_scalar(node.value)}, which is not text: quote it")
            return None
        return key

    def _scalar(self, node: yaml.ScalarNode, path: Path, line: int) -> Any:
        style = _STYLES.get(node.style or "", "plain")
        self.styles[path] = style
        if node.tag == IMPLICIT_TAG:
            if style != "plain":
                return node.value
            if is_ambiguous(node.value):
                self.doubtful.append((path, node.value))
            return resolve_plain(node.value)
        name = node.tag.removeprefix(_CORE)
        if node.tag.startswith(_CORE) and name in TAGGED:
            value = node.value if name == "str" else resolve_plain(node.value)
            if isinstance(value, TAGGED[name]):
                return value
            self._add(line, path, f"is tagged !!{name} and is not one")
            return None
        self._add(line, path, f"has an unknown tag {_show_tag(node.tag)}")
        return None

    def _check_tag(self, node: yaml.Node, path: Path, line: int, kind: str) -> None:
        if node.tag not in (IMPLICIT_TAG, _CORE + kind):
            self._add(line, path, f"has an unknown tag {_show_tag(node.tag)}")

    def _add(self, line: int, path: Path, message: str) -> None:
        self._problems.append(self._problem(line, path, message))

    def _problem(self, line: int, path: Path, message: str) -> Problem:
        return Problem(self._source, line, path_text(path), message)


def _show_tag(tag: str) -> str:
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag

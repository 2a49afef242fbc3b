"""What is wrong with a document, in sentences a person can act on.

Rule: a sentence says what is expected and what is there. It never repeats pydantic's wording, and it shows a
value only when that value stood in the document as written: what came from the environment or belongs to a
secret is named, not shown.
"""

import difflib
import json
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from llm_gateway_config import shape

Path = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `line` counts from 1; `file`, `line` and `path` are None or empty where unknown."""

    file: str | None
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (place, self.path, self.message) if part)


P = TypeVar("P", bound=Problem)


class Refused(ValueError):
    """The document is not served. `problems` holds everything found, sorted by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = in_order(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def in_order(problems: Iterable[P]) -> tuple[P, ...]:
    """Sorted by file and line, each problem once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.file or "", p.line or 0)))


def path_text(path: Path) -> str:
    """`("spec", "models", 0, "gpt 4")` as `spec.models[0]["gpt 4"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _BARE_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text


def line_of(path: Path, lines: Mapping[Path, int]) -> int | None:
    """The line of `path`, else of its nearest ancestor that has one."""
    for length in range(len(path), -1, -1):
        line = lines.get(path[:length])
        if line is not None:
            return line
    return None


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like `word`, when one is like it at all; case does not count."""
    lowered = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """` (did you mean X?)`, or nothing."""
    found = nearest(word, choices)
    return f" (did you mean {found}?)" if found else ""


def show_value(value: object) -> str:
    """A value as a sentence shows it: short, containers by kind only."""
    match value:
        case None:
            return "empty"
        case bool() | int() | float():
            return json.dumps(value) if not isinstance(value, float) else repr(value)
        case str():
            short = value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "..."
            return json.dumps(short, ensure_ascii=False)
        case Mapping():
            return "a map"
        case list() | tuple():
            return "a list"
    return "something else"


def kind_of(value: object) -> str:
    """What a value is, without the value: for secrets."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
    return show_value(value)


def expected(what: str, hint: str = "") -> PydanticCustomError:
    """For validators: `must be {what}, is {value}: {hint}`, the value left out where it must not be shown."""
    return PydanticCustomError("expected", "must be {what}", {"what": what, "hint": hint})


def rule(sentence: str) -> PydanticCustomError:
    """For validators: a whole sentence that shows no part of the value."""
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence})


@dataclass(frozen=True, slots=True)
class _Found:
    """One pydantic error: its context, its input, and the words for that input (`is 5`)."""

    context: Mapping[str, Any]
    value: object
    words: str

    def must(self, what: str) -> str:
        return f"must {what}, {self.words}"


def _expected(found: _Found) -> str:
    hint = found.context["hint"]
    return found.must(f"be {found.context['what']}") + (f": {hint}" if hint else "")


def _choice(found: _Found) -> str:
    choices = [
        choice.replace("\\'", "'") for choice in _QUOTED.findall(str(found.context.get("expected", "")))
    ]
    hint = did_you_mean(found.value, choices) if isinstance(found.value, str) and found.words else ""
    return f"must be one of: {', '.join(choices)}; {found.words}{hint}"


def _text(found: _Found) -> str:
    quote = ": quote it" if isinstance(found.value, bool | int | float) else ""
    return found.must("be text") + quote


def _too_many_characters(found: _Found) -> str:
    length = len(found.value) if isinstance(found.value, str) else "more"
    return f"must be at most {found.context['max_length']} characters long, is {length}"


def _too_few_characters(found: _Found) -> str:
    least = found.context["min_length"]
    return "must not be empty" if least == 1 else found.must(f"be at least {least} characters long")


def _number(comparison: str, key: str) -> Callable[[_Found], str]:
    return lambda found: found.must(comparison.format(found.context[key]))


def _fixed(what: str) -> Callable[[_Found], str]:
    return lambda found: found.must(what)


_MAP, _LIST, _WHOLE = _fixed("be a map"), _fixed("be a list"), _fixed("be a whole number")
_DECIMAL, _BOOL = _fixed("be a number"), _fixed("be true or false")

SENTENCES: Mapping[str, Callable[[_Found], str]] = {
    "expected": _expected,
    "rule": lambda found: str(found.context["sentence"]),
    "missing": lambda found: "is required",
    "extra_forbidden": lambda found: "unknown field",
    "enum": _choice,
    "literal_error": _choice,
    "string_type": _text,
    "string_too_short": _too_few_characters,
    "string_too_long": _too_many_characters,
    "string_pattern_mismatch": lambda found: found.must(f"match {found.context['pattern']}"),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _DECIMAL,
    "float_parsing": _DECIMAL,
    "decimal_type": _DECIMAL,
    "decimal_parsing": _DECIMAL,
    "finite_number": _fixed("be a finite number"),
    "bool_type": _BOOL,
    "bool_parsing": _BOOL,
    "greater_than": _number("be more than {}", "gt"),
    "greater_than_equal": _number("be {} or more", "ge"),
    "less_than": _number("be less than {}", "lt"),
    "less_than_equal": _number("be {} or less", "le"),
    "too_short": lambda found: (
        f"must hold at least {found.context['min_length']}, holds {found.context['actual_length']}"
    ),
    "too_long": lambda found: f"must hold at most {found.context['max_length']}",
    "model_type": _MAP,
    "model_attributes_type": _MAP,
    "dataclass_type": _MAP,
    "dict_type": _MAP,
    "mapping_type": _MAP,
    "list_type": _LIST,
    "tuple_type": _LIST,
}
"""One row for each pydantic error type that a model of this project can raise; a test walks the models for
the rest.
"""


def _never(path: Path) -> str | None:
    return None


def sentences(
    error: ValidationError,
    lines: Mapping[Path, int],
    file: str | None,
    prefix: Path = (),
    *,
    model: type[BaseModel] | None = None,
    scalars: Container[Path] = (),
    origin: Callable[[Path], str | None] = _never,
) -> list[Problem]:
    """pydantic's errors as problems, one each.

    `lines`: line of every path of the document. `prefix`: where in the document the validated data stood.
    `model`: the validated model; with it an unknown field is told its nearest known name.
    `scalars`: paths that hold one scalar; a path below one (a shorthand that was normalised) is cut back to
    it. `origin`: names what stands behind a value that must not be shown (`the value of ${PORT}`), or None. A
    model must not hold a union of several non-null types: pydantic would put the branch into the path.
    """
    details = error.errors(include_url=False)
    return describe(details, lines, file, prefix, model=model, scalars=scalars, origin=origin)


def describe(
    details: Iterable[ErrorDetails],
    lines: Mapping[Path, int],
    file: str | None,
    prefix: Path = (),
    *,
    model: type[BaseModel] | None = None,
    scalars: Container[Path] = (),
    origin: Callable[[Path], str | None] = _never,
) -> list[Problem]:
    """As `sentences`, for a choice of a ValidationError's `errors()`."""
    problems = []
    for detail in details:
        path = _cut(prefix + _location(detail), scalars)
        message = sentence(detail, origin(path), model)
        problems.append(Problem(file, line_of(path, lines), path_text(path), message))
    return problems


def sentence(detail: ErrorDetails, origin: str | None, model: type[BaseModel] | None) -> str:
    """One pydantic error as a sentence; see `sentences` for the arguments."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden" and model is not None:
        *parent, name = _location(detail)
        return "unknown field" + did_you_mean(str(name), shape.field_names(model, tuple(parent)))
    if kind in ("value_error", "assertion_error") and origin is None:
        return str(context.get("error", "is not accepted"))
    found = _Found(context, None if origin else value, f"is {origin or show_value(value)}")
    table = SENTENCES.get(kind)
    return table(found) if table else f"is not accepted, {found.words}"


def _location(detail: ErrorDetails) -> Path:
    # pydantic marks an error of a key of a map by a last part "[key]"; the path of the entry says enough.
    location = detail["loc"]
    return location[:-1] if location[-1:] == ("[key]",) else location


def _cut(path: Path, scalars: Container[Path]) -> Path:
    for length in range(1, len(path)):
        if path[:length] in scalars:
            return path[:length]
    return path

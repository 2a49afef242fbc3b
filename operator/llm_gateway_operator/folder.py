"""A folder of YAML in, the objects of it out, each with its file and line.

Nothing is guessed: what cannot be read, or could be read in two ways, is a problem, so that a folder that
vanished or a file that is half written never looks like a wish to serve less.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llm_gateway_config.files import is_special
from llm_gateway_config.problems import Problem, Refused, did_you_mean, in_order, path_text, sentences
from llm_gateway_config.yaml12 import LARGEST_TEXT, YamlDocument, ambiguous, decode, scan
from llm_gateway_operator.api.common import API_VERSION, GROUP, Part
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.api.later import NOT_SUPPORTED, unsupported
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.api.secret import Secret
from llm_gateway_operator.objects import Found, Key, Objects, Source
from llm_gateway_operator.rules import gateway_problems, provider_problems
from llm_gateway_operator.watch import files

MODELS: Mapping[str, type[Part]] = {"LLMProvider": LLMProvider, "LLMGateway": LLMGateway, "Secret": Secret}

# What an object may carry beside the user's wish, for the API server only.
_BESIDE = {"LLMProvider": "status", "LLMGateway": "status", "Secret": "immutable"}


@dataclass(frozen=True, slots=True)
class Folder:
    """What was read. `notes` tells what was ignored; it is no reason to refuse anything."""

    objects: Objects
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]


@dataclass(slots=True)
class _Reader:
    """What has been read so far."""

    providers: dict[Key, Found[LLMProvider]] = field(default_factory=dict)
    gateways: dict[Key, Found[LLMGateway]] = field(default_factory=dict)
    secrets: dict[Key, Found[Secret]] = field(default_factory=dict)
    unreadable: set[tuple[str, Key]] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


def read_folder(target: Path) -> Folder:
    """All objects of a folder, or of a single file; files are named as `target` was written."""
    reader = _Reader()
    try:
        for path in files(target):
            _read_file(path, reader)
    except OSError as error:
        reader.problems.append(_unreadable(error.filename or target, error))
    objects = Objects(reader.providers, reader.gateways, reader.secrets, frozenset(reader.unreadable))
    return Folder(objects, in_order(reader.problems), in_order(reader.notes))


def _read_file(path: Path, reader: _Reader) -> None:
    try:
        if is_special(path):
            reader.problems.append(Problem(str(path), None, "", "is no regular file"))
            return
        if path.stat().st_size > LARGEST_TEXT:
            reader.problems.append(
                Problem(str(path), None, "", f"is larger than {LARGEST_TEXT // 1024**2} MiB")
            )
            return
        text = decode(path.read_bytes(), source=str(path))
        if not text.strip():
            reader.problems.append(
                Problem(str(path), None, "", "is empty: half written? Delete it if nothing is meant")
            )
            return
        documents, problems = scan(text, source=str(path))
    except OSError as error:
        reader.problems.append(_unreadable(path, error))
    except Refused as refused:
        reader.problems.extend(refused.problems)
    else:
        reader.problems.extend(problems)
        for document in documents:
            for each in _expanded(document):
                _read_document(each, str(path), reader)


def _unreadable(path: object, error: OSError) -> Problem:
    return Problem(str(path), None, "", f"cannot be read: {error.strerror or error}")


def _expanded(document: YamlDocument) -> Iterator[YamlDocument]:
    """The objects of a `kind: List`, as kubectl writes several; else the document itself."""
    data = document.data
    if not isinstance(data, dict) or data.get("kind") != "List" or not isinstance(data.get("items"), list):
        yield document
        return
    for index, item in enumerate(data["items"]):
        prefix = ("items", index)
        yield YamlDocument(
            data=item,
            lines={path[2:]: line for path, line in document.lines.items() if path[:2] == prefix},
            styles={path[2:]: style for path, style in document.styles.items() if path[:2] == prefix},
            line=document.lines[prefix],
            doubtful=tuple((path[2:], text) for path, text in document.doubtful if path[:2] == prefix),
        )


def _read_document(document: YamlDocument, file: str, reader: _Reader) -> None:
    source = Source(file, document.line, document.lines)
    data = document.data
    if not isinstance(data, dict) or not {"kind", "apiVersion"} & data.keys():
        reader.notes.append(source.problem((), "is ignored: no Kubernetes object"))
        return
    refusal = _unknown_kind(data, source)
    if refusal is not None:
        reader.problems.append(refusal)
    elif _is_ours(data):
        _admit(document, source, reader)
    else:
        reader.notes.append(source.problem((), f"is ignored: a {data['kind']} of {data['apiVersion']}"))


def _is_ours(data: Mapping[str, Any]) -> bool:
    return (data["apiVersion"], data["kind"]) in {
        (API_VERSION, "LLMProvider"),
        (API_VERSION, "LLMGateway"),
        ("v1", "Secret"),
    }


def _unknown_kind(data: Mapping[str, Any], source: Source) -> Problem | None:
    """What is wrong with `apiVersion` and `kind`, as far as they seem to mean one of ours."""
    for name in ("apiVersion", "kind"):
        if name not in data:
            return source.problem((name,), "is required")
        if not isinstance(data[name], str):
            return source.problem((name,), "must be text")
    version, kind = data["apiVersion"], data["kind"]
    if kind in ("LLMProvider", "LLMGateway") and version != API_VERSION:
        return source.problem(("apiVersion",), f"must be {API_VERSION}, is {version}")
    if version.partition("/")[0] == GROUP and kind not in ("LLMProvider", "LLMGateway"):
        hint = did_you_mean(kind, ("LLMProvider", "LLMGateway"))
        return source.problem(("kind",), f"must be one of: LLMProvider, LLMGateway; is {kind}{hint}")
    return None


def _admit(document: YamlDocument, source: Source, reader: _Reader) -> None:
    """Check one object of ours and file it under its key."""
    kind = document.data["kind"]
    beside = _BESIDE[kind]
    document = replace(
        document,
        data={name: value for name, value in document.data.items() if name != beside},
        doubtful=tuple(entry for entry in document.doubtful if entry[0][:1] != (beside,)),
    )
    key = _key(document.data)
    problems = _doubts(document, kind, source)
    try:
        value = MODELS[kind].model_validate(document.data)
    except ValidationError as error:
        told = {problem.path for problem in problems}
        problems += [each for each in _faults(error, document, kind, source) if each.path not in told]
    else:
        problems += _file_away(value, source, reader)
    reader.problems.extend(problems)
    if problems and key is not None:
        reader.unreadable.add((kind, key))


def _key(data: Mapping[str, Any]) -> Key | None:
    metadata = data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    namespace = metadata.get("namespace") or "default" if isinstance(metadata, dict) else None
    return Key(namespace, name) if isinstance(name, str) and isinstance(namespace, str) else None


def _doubts(document: YamlDocument, kind: str, source: Source) -> list[Problem]:
    found = ambiguous(document, source=source.file)
    if kind == "Secret":  # the scalar may be a secret
        return [
            replace(problem, message="YAML readers disagree about this value: quote it") for problem in found
        ]
    return found


def _faults(error: ValidationError, document: YamlDocument, kind: str, source: Source) -> list[Problem]:
    found = sentences(error, document.lines, source.file, model=MODELS[kind])
    if kind == "Secret":
        return [_without_value(problem) for problem in found]
    later = {path_text(path) for path in unsupported(kind, document.data)}
    return [replace(each, message=NOT_SUPPORTED) if each.path in later else each for each in found]


def _without_value(problem: Problem) -> Problem:
    """A problem of a Secret object, without the value that it shows."""
    inside = problem.path.startswith(("data.", "data[", "stringData.", "stringData["))
    return replace(problem, message="must be text: quote it") if inside else problem


def _file_away(value: Part, source: Source, reader: _Reader) -> list[Problem]:
    match value:
        case LLMProvider():
            provider = Found(value, source)
            # One with problems is not kept: what else is said about it would only repeat them.
            return [*provider_problems(provider)] or [*_keep(reader.providers, provider)]
        case LLMGateway():
            gateway = Found(value, source)
            return [*gateway_problems(gateway), *_keep(reader.gateways, gateway)]
        case Secret():
            return [*_keep(reader.secrets, Found(value, source))]
    raise AssertionError(f"no place for {type(value).__name__}")


def _keep(kept: dict[Key, Any], found: Found[Any]) -> Iterator[Problem]:
    metadata = found.value.metadata
    key = Key(metadata.namespace, metadata.name)
    first = kept.setdefault(key, found)
    if first is not found:
        yield found.problem(
            ("metadata", "name"),
            f"{found.value.kind} {key} stands here and at {first.source.place}",
        )

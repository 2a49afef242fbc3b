"""The tree of fields that a pydantic model describes, asked by path.

Rule: answers come from annotations alone; a path that the model does not describe has no answer, never an
error.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


def model_at(model: type[BaseModel], path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model whose fields stand below `path`, or None."""
    annotation: Any = model
    for part in path:
        annotation = _step(annotation, part)
    return _as_model(annotation)


def field_names(model: type[BaseModel], path: tuple[str | int, ...]) -> tuple[str, ...]:
    """Names as a document writes them (aliases where there are any) of the fields that may stand below
    `path`.
    """
    found = model_at(model, path)
    if found is None:
        return ()
    return tuple(field.alias or name for name, field in found.model_fields.items())


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and every model below it, each once."""
    found = {model: None}
    open_ends = [model]
    while open_ends:
        for field in open_ends.pop().model_fields.values():
            below = _below(field.annotation)
            if below is not None and below not in found:
                found[below] = None
                open_ends.append(below)
    yield from found


def _below(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: itself, as an item of a list, or as a value of a map."""
    return _as_model(annotation) or _as_model(_step(annotation, ""))


def _step(annotation: Any, part: str | int) -> Any:
    found = _as_model(annotation)
    if found is not None:
        for name, field in found.model_fields.items():
            if part in (field.alias or name, name):
                return field.annotation
        return None
    for option in _options(annotation):
        origin = get_origin(option)
        if isinstance(origin, type) and issubclass(origin, (Mapping, Sequence)):
            arguments = [argument for argument in get_args(option) if argument is not Ellipsis]
            return arguments[-1] if arguments else None
    return None


def _options(annotation: Any) -> Iterator[Any]:
    """The annotation without `Annotated` and, of a union, each member."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _options(get_args(annotation)[0])
    elif origin is Union or origin is UnionType:
        for member in get_args(annotation):
            yield from _options(member)
    else:
        yield annotation


def _as_model(annotation: Any) -> type[BaseModel] | None:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None

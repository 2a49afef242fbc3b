"""From credentials as written to credentials that can be sent.

Rule: what is wrong with a credential takes out its provider, never the document: a Secret may come later, and
the other providers have done nothing. What is said about one names the variable or the file, never the value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from llm_gateway_config.files import is_special
from llm_gateway_config.problems import Path
from llm_gateway_config.secret import Credential, credential_fault, file_of

LARGEST_FILE = 64 * 1024
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A credential that cannot be used: the path it was written at, and why."""

    provider: str
    path: Path
    reason: str


def is_credential(path: Path) -> bool:
    """Whether a scalar at `path` is a credential."""
    return path[:1] == ("providers",) and (
        (len(path) == 3 and path[2] == "api_key") or (len(path) == 4 and path[2] == "headers")
    )


def owner(path: Path) -> str | None:
    """The provider whose credential stands at `path` or, as `{file: PATH}`, right above it."""
    found = is_credential(path) or (path[-1:] == ("file",) and is_credential(path[:-1]))
    return str(path[1]) if found else None


def resolve(
    data: Any, unset: Mapping[Path, str], variables: Mapping[Path, tuple[str, ...]], base: FilePath
) -> list[Missing]:
    """Puts a `Credential` in the place of every credential of `data`, and returns those that cannot be used.

    `unset`: paths that lack a variable. `variables`: the variables of credentials that came from the
    environment. `base`: the folder that file names are relative to. Literal text that is no credential stays
    for the models to refuse.
    """
    missing = []
    for holder, key, path in _slots(data):
        written = holder[key]
        variable = unset.get(path) or unset.get((*path, "file"))
        if variable is not None:
            holder[key], reason = Credential(None), f"the variable {variable} is not set"
        elif file_of(written) is not None:
            names = variables.get((*path, "file"), ())
            holder[key], reason = _read(file_of(written) or "", base, names)
        elif isinstance(written, str) or (written is None and variables.get(path)):
            holder[key], reason = _from_text(written or "", variables.get(path, ()))
        else:
            continue
        if reason:
            missing.append(Missing(str(path[1]), path, reason))
    return missing


def files(data: Any, base: FilePath) -> tuple[FilePath, ...]:
    """The files of resolved `data`'s credentials, readable or not."""
    named = (holder[key] for holder, key, _ in _slots(data))
    return tuple(base / each.file for each in named if isinstance(each, Credential) and each.file is not None)


def _slots(data: Any) -> Iterator[tuple[dict[str, Any], str, Path]]:
    """Every place of a credential: the map it is in, its key there, its path."""
    providers = data.get("providers") if isinstance(data, dict) else None
    for name, provider in providers.items() if isinstance(providers, dict) else ():
        if not isinstance(provider, dict):
            continue
        if "api_key" in provider:
            yield provider, "api_key", ("providers", name, "api_key")
        headers = provider.get("headers")
        if not isinstance(headers, dict):
            continue
        for header in headers:
            yield headers, header, ("providers", name, "headers", header)


def _from_text(text: str, variables: tuple[str, ...]) -> tuple[Any, str]:
    """The credential, or the text itself when a model must refuse it; and why it cannot be used."""
    fault = credential_fault(text)
    if fault is None:
        return Credential(text), ""
    if not variables:
        return text, ""
    names = " and ".join(variables)
    return Credential(None), f"the variable {names} is empty" if not text else f"the value of {names} {fault}"


def _read(name: str, base: FilePath, variables: tuple[str, ...]) -> tuple[Credential, str]:
    """The credential in the file `name`, and why it cannot be used."""
    # Whoever wrote {file: ${API_KEY}} gave the key itself for a name: it is not shown.
    shown = f"the file that {' and '.join(variables)} names" if variables else f"the file {name}"
    try:
        if is_special(base / name):
            return Credential(None, name), f"{shown} is no regular file"
        with (base / name).open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        text = raw.decode()
    except OSError as error:
        return Credential(None, name), f"{shown} cannot be read: {plain_reason(error)}"
    except ValueError:
        # A name with a NUL, or bytes that are not UTF-8.
        return Credential(None, name), f"{shown} is not text"
    if len(raw) > LARGEST_FILE:
        return Credential(None, name), f"{shown} is larger than {LARGEST_FILE // 1024} KiB"
    text = text.removesuffix("\n").removesuffix("\r")
    fault = credential_fault(text)
    if fault is not None:
        return Credential(None, name), f"{shown} is empty" if not text else f"what {shown} holds {fault}"
    return Credential(text, name), ""


def plain_reason(error: OSError) -> str:
    """An OSError in words of its own: `no such file or directory`."""
    return (error.strerror or type(error).__name__).lower()

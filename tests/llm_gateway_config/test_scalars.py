"""Plain scalars: the core schema of YAML 1.2, and where YAML 1.1 disagrees."""

import math

import pytest
import yaml

from llm_gateway_config.scalars import is_ambiguous, resolve_plain

VALUES: dict[str, object] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "FALSE": False,
    "0": 0,
    "-12": -12,
    "+3": 3,
    "0o17": 15,
    "0x1F": 31,
    "1.5": 1.5,
    "1.": 1.0,
    ".5": 0.5,
    "1e3": 1000.0,
    "1.5E-3": 0.0015,
    "-.inf": -math.inf,
    "yes": "yes",
    "on": "on",
    "y": "y",
    "0777": "0777",
    "1_000": "1_000",
    "1:30": "1:30",
    "2026-01-01": "2026-01-01",
    "0b1": "0b1",
    "-": "-",
    "1e": "1e",
    ".": ".",
    "TRue": "TRue",
    "gpt-4o": "gpt-4o",
    "1.2.3": "1.2.3",
    "9" * 41: "9" * 41,
}


@pytest.mark.parametrize(("text", "value"), VALUES.items(), ids=[repr(text)[:20] for text in VALUES])
def test_a_plain_scalar_has_one_value(text: str, value: object) -> None:
    resolved = resolve_plain(text)
    assert resolved == value
    assert type(resolved) is type(value)


def test_not_a_number_is_one() -> None:
    nan = resolve_plain(".nan")
    assert isinstance(nan, float)
    assert math.isnan(nan)


AMBIGUOUS = [
    "on",
    "off",
    "On",
    "OFF",
    "yes",
    "no",
    "0777",
    "-017",
    "1_000",
    "1:30",
    "190:20:30",
    "2026-01-01",
    "0o17",
    "1e3",
    "1.5e3",
    "0b11",
    "12e03",
    "0x1_0",
    "1_0.5",
]
# PyYAML itself takes these for text, other readers of YAML 1.1 do not.
AMBIGUOUS_ELSEWHERE = ["y", "n", "Y", "N", "08", "2026-1-1", "="]
CLEAR = [
    "true",
    "false",
    "null",
    "~",
    "1",
    "-1",
    "0",
    "1.5",
    ".5",
    "0x1F",
    "on-call",
    "yesterday",
    "gpt-4o",
    "10MB",
    "30s",
    "1.2.3",
    "127.0.0.1",
    ".inf",
    "v1",
    "nope",
]


@pytest.mark.parametrize("text", [*AMBIGUOUS, *AMBIGUOUS_ELSEWHERE])
def test_readers_disagree_about(text: str) -> None:
    assert is_ambiguous(text)


@pytest.mark.parametrize("text", CLEAR)
def test_readers_agree_about(text: str) -> None:
    assert not is_ambiguous(text)
    # PyYAML reads YAML 1.1.
    assert yaml.safe_load(text) == resolve_plain(text)


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_a_reader_of_yaml_1_1_takes_it_for_something_else(text: str) -> None:
    other = yaml.safe_load(text)
    assert (type(other), other) != (type(resolve_plain(text)), resolve_plain(text))

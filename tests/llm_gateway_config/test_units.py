"""Durations, sizes and prices: what is read, what is refused, and that writing gives it back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_config.units import format_duration, format_size, parse_duration, parse_size

DURATIONS = {
    "seconds": ("30s", 30.0),
    "milliseconds": ("500ms", 0.5),
    "minutes and seconds": ("1m30s", 90.0),
    "all four units": ("1h1m1s1ms", 3661.001),
    "zero": ("0s", 0.0),
}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.values(), ids=DURATIONS)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "fast", "30 s", "-1s", "1.5s", "1d", "123456s", "1s1s1s1s1s", "1s\n", "٣s"]
)
def test_what_is_no_duration_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration like 30s or 1m30s, is "):
        parse_duration(text)


WRITTEN_DURATIONS = {
    "minutes and seconds": (90.0, "1m30s"),
    "whole minutes": (600.0, "10m"),
    "below a second": (0.5, "500ms"),
    "zero": (0.0, "0s"),
    "mixed": (5400.25, "1h30m250ms"),
}


@pytest.mark.parametrize(("seconds", "text"), WRITTEN_DURATIONS.values(), ids=WRITTEN_DURATIONS)
def test_a_duration_is_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_a_duration_survives_writing_and_reading(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


SIZES = {
    "decimal megabytes": ("10MB", 10_000_000),
    "binary kibibytes": ("64KiB", 65_536),
    "the two spellings of kilobytes": ("512kB", 512_000),
    "gibibytes": ("1GiB", 1_073_741_824),
    "bytes": ("100B", 100),
}


@pytest.mark.parametrize(("text", "size"), SIZES.values(), ids=SIZES)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "10", "10mb", "1.5MB", "-1B", "10 MB", "1TB", "1B\n"])
def test_what_is_no_size_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size like 10MB or 64KiB, is "):
        parse_size(text)


@given(st.integers(0, 10**12 - 1))
def test_a_size_survives_writing_and_reading(size: int) -> None:
    assert parse_size(format_size(size)) == size


WRITTEN_SIZES = {
    "decimal": (10_000_000, "10MB"),
    "binary": (65_536, "64KiB"),
    "nothing": (0, "0B"),
    "odd": (12_345, "12345B"),
}


@pytest.mark.parametrize(("size", "text"), WRITTEN_SIZES.values(), ids=WRITTEN_SIZES)
def test_a_size_is_written(size: int, text: str) -> None:
    assert format_size(size) == text

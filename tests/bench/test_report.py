"""The report of the benchmark: ratios are taken within a round, verdicts from their median."""

import pytest

from bench import report

ROUND = dict.fromkeys(report.COLUMNS, 1.0)


def rounds(**us_per_request: list[float]) -> report.Rounds:
    return {
        server: [{**ROUND, "us_per_request": value} for value in values]
        for server, values in us_per_request.items()
    }


def test_a_ratio_compares_what_ran_in_the_same_round() -> None:
    # The machine was half as fast in the second round: the ratio does not notice.
    measured = rounds(envoy=[40.0, 80.0], gateway=[20.0, 40.0])
    assert report.ratios(measured, "gateway", "envoy", "us_per_request") == [0.5, 0.5]


SPREADS = {
    "of one value": ([2.0], "2 (2 - 2)"),
    "of an odd number": ([3.0, 1.0, 2.0], "2 (1 - 3)"),
    "of an even number": ([1.0, 2.0], "1.5 (1 - 2)"),
    "of large values, grouped": ([12345.6], "12,346 (12,346 - 12,346)"),
    "of a negative growth": ([-0.25, 0.5, 0.125], "0.125 (-0.25 - 0.5)"),
}


@pytest.mark.parametrize(("values", "expected"), SPREADS.values(), ids=SPREADS.keys())
def test_spread(values: list[float], expected: str) -> None:
    assert report.spread(values) == expected


VERDICTS = {
    "at the bar is kept": ([130.0], "kept"),
    "over the bar is missed": ([131.0], "MISSED"),
    "one bad round does not decide": ([100.0, 100.0, 500.0], "kept"),
}


@pytest.mark.parametrize(("gateway", "verdict"), VERDICTS.values(), ids=VERDICTS.keys())
def test_the_median_decides_whether_a_bar_is_kept(gateway: list[float], verdict: str) -> None:
    measured = rounds(envoy=[100.0] * len(gateway), gateway=gateway)
    line = next(line for line in report.bars(measured) if "per request" in line)
    assert line.startswith(verdict + ":")


def test_without_envoy_there_is_no_verdict() -> None:
    assert report.bars(rounds(nginx=[1.0], gateway=[1.0])) == []


def test_the_table_has_a_column_for_each_server_and_a_ratio_to_each_yardstick() -> None:
    table = report.table(rounds(nginx=[10.0], envoy=[40.0], gateway=[20.0]))
    head, _, first, to_envoy, to_nginx, *_ = table.splitlines()
    assert head.endswith("| nginx | envoy | gateway |")
    assert first.endswith("| 10 (10 - 10) | 40 (40 - 40) | 20 (20 - 20) |")
    assert to_envoy.endswith("| 0.25 (0.25 - 0.25) | 1 (1 - 1) | 0.5 (0.5 - 0.5) |")
    assert to_nginx.endswith("| 1 (1 - 1) | 4 (4 - 4) | 2 (2 - 2) |")

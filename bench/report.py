"""Rounds in, a table out: medians, spread, and ratios to the yardsticks taken within each round."""

from collections.abc import Mapping, Sequence
from statistics import median

Rounds = Mapping[str, Sequence[Mapping[str, float]]]

COLUMNS = {
    "us_per_request": "CPU us per request",
    "us_per_event": "CPU us per event",
    "streams_pss": "MiB more for the open streams (PSS)",
    "idle_pss": "MiB at rest (PSS)",
    "idle_rss": "MiB at rest (RSS)",
    "requests_per_second": "requests per second",
    "request_busy": "share of its core, requests",
    "event_busy": "share of its core, events",
}
YARDSTICKS = ("envoy", "nginx")
RATIOS = ("us_per_request", "us_per_event")

# What the gateway has to keep; of a ratio: to Envoy.
BARS = {"us_per_request": 1.3, "us_per_event": 1.3, "streams_pss": 20.0, "idle_pss": 60.0}


def spread(values: Sequence[float]) -> str:
    """`median (least - most)`."""
    return f"{_short(median(values))} ({_short(min(values))} - {_short(max(values))})"


def ratios(rounds: Rounds, server: str, yardstick: str, column: str) -> list[float]:
    """Of each round. What slows a whole round slows both, so that a ratio moves less than its parts."""
    return [
        ours[column] / theirs[column] for ours, theirs in zip(rounds[server], rounds[yardstick], strict=True)
    ]


def table(rounds: Rounds) -> str:
    """The report as Markdown."""
    names = list(rounds)
    lines = [_row(["median (least - most)", *names]), _row(["---"] * (len(names) + 1))]
    for column, title in COLUMNS.items():
        lines.append(_row([title, *(spread([each[column] for each in rounds[name]]) for name in names)]))
        for yardstick in YARDSTICKS:
            if column in RATIOS and yardstick in rounds:
                cells = [spread(ratios(rounds, name, yardstick, column)) for name in names]
                lines.append(_row([f"... as a multiple of {yardstick}'s", *cells]))
    return "\n".join(lines)


def bars(rounds: Rounds) -> list[str]:
    """Each bar and whether the gateway's median keeps it. Empty where the gateway or Envoy was left out."""
    if not {"gateway", "envoy"} <= rounds.keys():
        return []
    lines = []
    for column, bar in BARS.items():
        if column in RATIOS:
            value, unit = median(ratios(rounds, "gateway", "envoy", column)), " times Envoy's"
        else:
            value, unit = median(each[column] for each in rounds["gateway"]), ""
        verdict = "kept" if value <= bar else "MISSED"
        lines.append(f"{verdict}: {COLUMNS[column]}: {_short(value)}{unit}; the bar is {bar:g}")
    return lines


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

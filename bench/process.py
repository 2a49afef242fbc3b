"""What Linux says about a process and the processes it started: CPU time and memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MIB: Final = 1024.0


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB. `pss` counts shared pages by share, `rss` counts each of them whole."""

    pss: float
    rss: float


def _stat(pid: int) -> list[str]:
    # The name of the program comes second, in brackets, and may hold anything: fields count from after it.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid: int) -> Iterator[int]:
    """`pid` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int(_stat(int(entry.name))[1])
            except OSError:  # gone since the listing
                continue
            children.setdefault(parent, []).append(int(entry.name))
    queue = [pid]
    while queue:
        yield (each := queue.pop())
        queue += children.get(each, ())


def cpu_seconds(pid: int) -> float:
    """User and system time of the family so far; ticks of 10 ms on most kernels."""
    return sum(int(stat[11]) + int(stat[12]) for stat in map(_stat, family(pid))) / _TICKS


def memory(pid: int) -> Memory:
    """Of the whole family."""
    pss = rss = 0.0
    for each in family(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name == "Pss":
                pss += int(rest.split()[0])
            elif name == "Rss":
                rss += int(rest.split()[0])
    return Memory(pss / _MIB, rss / _MIB)

"""`python -m bench`, from the root of the repository: the servers in turn, again and again, and a report."""

import argparse
import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from bench import machine, report
from bench.measure import Failed, Load, load_command, measure
from bench.servers import KINDS, NotReady, Place, Server, free_port, pinned, running

FOLDER = Path("build/bench")
RESULT = Path("build/bench.json")
# A thousand streams are two thousand descriptors of the server under test, and more while they open and close.
DESCRIPTORS = 8192


def main() -> int:
    given = arguments()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("error: the load and the server under test need a core each", file=sys.stderr)
        return 1
    raise_descriptors()
    FOLDER.mkdir(parents=True, exist_ok=True)
    place = Place(cores[1], free_port(), free_port(), free_port(), FOLDER.resolve())
    load = Load(given.requests, 32, 100, 200.0, given.seconds, 1000)
    try:
        servers = [KINDS[name](place) for name in given.servers.split(",")]
        explain(servers, place, cores[0], load)
        rounds = run(servers, place, cores[0], load, given.rounds)
    except (NotReady, Failed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    publish(servers, load, rounds)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--servers", default="nginx,envoy,gateway", help="comma-separated, in this order")
    parser.add_argument("--requests", type=int, default=40_000, help="requests in a round")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of streaming in a round")
    given = parser.parse_args()
    if unknown := set(given.servers.split(",")) - KINDS.keys():
        parser.error(f"unknown server: {', '.join(unknown)}; known: {', '.join(KINDS)}")
    return given


def raise_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))


def explain(servers: list[Server], place: Place, core: int, load: Load) -> None:
    """Everything needed to repeat the run by hand."""
    for name, value in machine.describe().items():
        print(f"{name:>14}  {value}")
    print(f"load and upstream on core {core}, the server under test on core {place.core}")
    print(f"  {load}")
    print(f"  $ {' '.join(upstream_command(place, core))}")
    for server in servers:
        env = "".join(f"{name}={value} " for name, value in server.env.items())
        print(f"{server.name} {server.version}\n  $ {env}{' '.join(pinned(place.core, server.command))}")
    for mode in ("requests", "streams", "hold"):
        print(f"  $ {' '.join(load_command(core, mode, place.port, {}))}")


def upstream_command(place: Place, core: int) -> list[str]:
    return pinned(core, upstream(place).command)


def upstream(place: Place) -> Server:
    command = (sys.executable, "-m", "bench.upstream", str(place.upstream_port))
    return Server("upstream", "", command)


def run(
    servers: list[Server], place: Place, core: int, load: Load, count: int
) -> dict[str, list[dict[str, float]]]:
    """`count` rounds of every server, each in a fresh process, one server at a time."""
    rounds: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
    with running(upstream(place), core, place.upstream_port, place.folder):
        for number in range(count):
            # Whoever goes first after a pause would always be the same one: take turns.
            turn = number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                print(f"round {number + 1} of {count}: {server.name}", end="", flush=True)
                with running(server, place.core, place.port, place.folder) as pid:
                    result = measure(pid, place.port, core, load)
                print(
                    f": {result.us_per_request:.1f} us/request, {result.us_per_event:.1f} us/event,"
                    f" {result.streams_pss:.1f} MiB for the streams"
                )
                rounds[server.name].append(result.as_dict())
    return rounds


def publish(servers: list[Server], load: Load, rounds: dict[str, list[dict[str, float]]]) -> None:
    print()
    print(report.table(rounds))
    print()
    print("\n".join(report.bars(rounds)))
    document = {
        "machine": machine.describe(),
        "servers": {
            server.name: {"version": server.version, "command": server.command} for server in servers
        },
        "load": asdict(load),
        "rounds": rounds,
    }
    RESULT.write_text(json.dumps(document, indent=2) + "\n")
    print(f"\nevery round: {RESULT}")


if __name__ == "__main__":
    sys.exit(main())

"""What no file of the project may name: hosts of package registries, paths of one machine."""

import re

import pytest

from llm_gateway_testing.repository import ROOT, files

# Written in pieces, so that this file passes its own test.
REGISTRIES = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "org"),
    ("proxy.golang", "org"),
    ("crates", "io"),
    ("maven", "org"),
    ("maven.apache", "org"),
    ("deb.debian", "org"),
)
REGISTRY = re.compile("|".join(re.escape(".".join(parts)) for parts in REGISTRIES))
# Roots of somebody's machine. Inside a URL or a longer path they mean something else.
MACHINE_PATH = re.compile(r"(?<![\w./:-])/(?:" + "|".join(("work", "root", "home", "tmp", "Users")) + r")/")


def offences(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in files():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    return found


def test_no_registry_host_is_named() -> None:
    assert offences(REGISTRY) == []


def test_no_path_of_one_machine_is_named() -> None:
    assert offences(MACHINE_PATH) == []


HITS = {
    "a registry's host": (REGISTRY, "see https://" + "pypi" + ".org/simple", True),
    "a home folder": (MACHINE_PATH, "open('" + "/home" + "/me/x')", True),
    "a scratch folder": (MACHINE_PATH, "--config " + "/tmp" + "/gateway.yaml", True),
    "a URL whose path begins alike": (MACHINE_PATH, "https://example.com/home/x", False),
    "a relative path": (MACHINE_PATH, "./work/x", False),
}


@pytest.mark.parametrize(("pattern", "line", "hit"), HITS.values(), ids=HITS.keys())
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], line: str, hit: bool) -> None:
    assert bool(pattern.search(line)) is hit

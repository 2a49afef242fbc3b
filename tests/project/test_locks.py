"""The lock files hold what pyproject.toml asks for, with hashes, and name no host."""

import pytest
from packaging.utils import canonicalize_name

from llm_gateway_testing.repository import ROOT, pins, requirements

LOCKS = {
    "what runs the gateway": ("run.lock", ("operator", "gateway", "build")),
    "what development needs": ("dev.lock", ("operator", "gateway", "dev", "build")),
}
each_lock = pytest.mark.parametrize(("lock", "extras"), LOCKS.values(), ids=LOCKS.keys())


@each_lock
def test_lock_satisfies_every_declared_dependency(lock: str, extras: tuple[str, ...]) -> None:
    pinned = pins(lock)
    asked = list(requirements(*extras))
    unmet = [
        str(requirement)
        for requirement in asked
        if (pin := pinned.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(pin.version, prereleases=True)
    ]
    assert asked
    assert not unmet, f"run make lock: requirements/{lock} does not satisfy {unmet}"


@each_lock
def test_every_pin_has_a_hash(lock: str, extras: tuple[str, ...]) -> None:
    assert [pin.name for pin in pins(lock).values() if not pin.hashes] == []


@each_lock
def test_lock_names_no_host(lock: str, extras: tuple[str, ...]) -> None:
    assert "://" not in (ROOT / "requirements" / lock).read_text()


def test_both_locks_agree_on_every_version() -> None:
    # The Makefile takes an environment made from dev.lock as good for running, too.
    development = pins("dev.lock")
    different = {name: pin for name, pin in pins("run.lock").items() if development.get(name) != pin}
    assert different == {}


def test_the_gateway_is_not_pinned_by_its_own_lock() -> None:
    assert "llm-gateway" not in pins("run.lock") | pins("dev.lock")

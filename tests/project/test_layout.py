"""`operator` is a module of the standard library too: what keeps our folder from standing in its place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_gateway_testing.repository import ROOT, files

SOURCE_ROOTS = ("operator", "dataplane")


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_a_source_root_holds_packages_only(root: str) -> None:
    loose = [path.name for path in (ROOT / root).glob("*.py")]
    assert loose == [], f"{root}/ is a source root: move these into a package"
    assert {path.parent.name for path in (ROOT / root).glob("*/__init__.py")} == {
        path.name for path in (ROOT / root).iterdir() if path.is_dir() and path.name != "__pycache__"
    }


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_no_test_lies_under_a_source_root(root: str) -> None:
    assert [path for path in (ROOT / root).rglob("*.py") if path.name.startswith(("test_", "conftest"))] == []


def test_no_folder_of_tests_is_a_package() -> None:
    support = ROOT / "tests" / "support"
    packages = [path for path in (ROOT / "tests").rglob("__init__.py") if support not in path.parents]
    assert packages == []


def test_nothing_importable_is_named_operator() -> None:
    named = [
        path
        for path in files()
        if path.name == "operator.py" or path.parts[-2:] == ("operator", "__init__.py")
    ]
    assert named == []


@pytest.mark.parametrize("module", ["collections", "dataclasses", "operator"])
def test_the_standard_library_imports_in_a_clean_interpreter_at_the_root(module: str) -> None:
    # -S and an empty PYTHONPATH: a .pth file that had imported `operator` already would hide the mistake.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    program = f"import {module}; print({module}.__file__)"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ROOT not in Path(ran.stdout.strip()).parents


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "README.md"])
def test_the_project_has_its_papers(name: str) -> None:
    assert (ROOT / name).stat().st_size > 100


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()

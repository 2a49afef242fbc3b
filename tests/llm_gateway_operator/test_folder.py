"""What a folder of YAML is read as, and what is said when it cannot be read."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from llm_gateway_operator.folder import Folder, read_folder
from llm_gateway_operator.objects import Key
from llm_gateway_operator.plan import make_plan
from llm_gateway_operator.translate import Listen

PROVIDER = """apiVersion: llmgateway.dev/v1alpha1
kind: LLMProvider
metadata: {name: NAME}
spec: {type: Mock, models: [{name: echo}]}
"""
GATEWAY = "apiVersion: llmgateway.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: NAME}\nspec: {}\n"


def provider(name: str) -> str:
    return PROVIDER.replace("NAME", name)


def gateway(name: str) -> str:
    return GATEWAY.replace("NAME", name)


def folder_of(tmp_path: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def names(folder: Folder) -> list[str]:
    return sorted(key.name for key in folder.objects.providers)


def test_reads_every_kind_of_file_and_only_those_that_are_not_hidden(tmp_path: Path) -> None:
    as_json = (
        '{"apiVersion": "llmgateway.dev/v1alpha1", "kind": "LLMProvider", "metadata": {"name": "d"},'
        ' "spec": {"type": "Mock", "models": [{"name": "\\ud83d\\ude00"}]}}'
    )
    target = folder_of(
        tmp_path,
        {
            "two.yaml": provider("a") + "---\n" + provider("b"),
            "short.yml": provider("c"),
            "one.json": as_json,
            "more/deep/nested.yaml": provider("e"),
            "comment.yaml": "# nothing yet\n",
            "README.md": "no: yaml: at: all",
            ".hidden.yaml": provider("hidden"),
            ".git/config.yaml": provider("hidden"),
            "..data/volume.yaml": provider("hidden"),
            "editor.yaml~": provider("hidden"),
        },
    )
    folder = read_folder(target)
    assert (names(folder), folder.problems) == (["a", "b", "c", "d", "e"], ())
    assert folder.objects.providers[Key("default", "d")].value.spec.models[0].name == "\U0001f600"
    assert folder.objects.providers[Key("default", "b")].source.line == 6


def test_reads_the_files_of_a_mounted_volume_through_their_links(tmp_path: Path) -> None:
    folder_of(tmp_path, {"..2026/provider.yaml": provider("a")})
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "provider.yaml").symlink_to("..data/provider.yaml")
    assert names(read_folder(tmp_path)) == ["a"]


def test_a_link_to_its_own_folder_is_no_loop(tmp_path: Path) -> None:
    folder_of(tmp_path, {"provider.yaml": provider("a")})
    (tmp_path / "loop").symlink_to(tmp_path)
    assert (names(read_folder(tmp_path)), read_folder(tmp_path).problems) == (["a"], ())


def test_reads_a_single_file(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a.yaml": provider("a"), "b.yaml": provider("b")})
    assert names(read_folder(tmp_path / "a.yaml")) == ["a"]


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "a file cut in the middle": (
        {"a.yaml": gateway("g"), "b.yaml": "kind: LLMProvider\nmetadata: {name: x"},
        "b.yaml:3: is not valid YAML",
    ),
    "a file that was truncated and not yet written": (
        {"a.yaml": gateway("g"), "b.yaml": ""},
        "b.yaml: is empty: half written? Delete it if nothing is meant",
    ),
    "a key that stands twice": (
        {"a.yaml": gateway("g") + "kind: LLMGateway\n"},
        "a.yaml:5: kind: is written twice, first at line 2",
    ),
    "an object without apiVersion": (
        {"a.yaml": gateway("g"), "b.yaml": "kind: LLMProvider\n"},
        "b.yaml:1: apiVersion: is required",
    ),
    "one object in two files": (
        {"a.yaml": gateway("g"), "b.yaml": provider("p"), "c.yaml": "\n\n" + provider("p")},
        "c.yaml:5: metadata.name: LLMProvider default/p stands here and at b.yaml:1",
    ),
    "no gateway": ({"b.yaml": provider("p")}, ".: holds no LLMGateway: nothing says what to serve"),
    "an empty folder": ({}, ".: holds no LLMGateway: nothing says what to serve"),
    "several gateways": (
        {"a.yaml": gateway("g") + "---\n" + gateway("h")},
        ".: holds several LLMGateways: choose with --gateway one of default/g, default/h",
    ),
}


@pytest.mark.parametrize(("files", "message"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_served_is_refused(
    files: Mapping[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_of(tmp_path, files))
    plan = make_plan(Path(), None, {}, Listen())
    assert len(plan.problems) == 1
    assert str(plan.problems[0]).startswith(message)


def test_a_folder_that_vanished_is_refused(tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "gone", None, {}, Listen())
    assert [str(problem) for problem in plan.problems] == [
        f"{tmp_path}/gone: cannot be read: No such file or directory"
    ]


def test_a_link_to_nowhere_and_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, {"gateway.yaml": gateway("g")})
    (tmp_path / "link.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\n")
    assert [str(problem) for problem in read_folder(tmp_path).problems] == [
        f"{tmp_path}/latin.yaml:1: is not UTF-8 text",
        f"{tmp_path}/link.yaml: cannot be read: No such file or directory",
    ]


CHOICES: dict[str, tuple[str | None, str]] = {
    "by name": ("h", "a/h"),
    "by namespace and name": ("b/g", "b/g"),
    "a name in two namespaces": (
        "g",
        ".: holds several LLMGateways: choose with --gateway one of a/g, a/h, b/g",
    ),
    "an unknown name": ("gg", ".: holds no LLMGateway gg, only a/g, a/h, b/g (did you mean g?)"),
}


@pytest.mark.parametrize(("wanted", "expected"), CHOICES.values(), ids=CHOICES)
def test_choosing_a_gateway(
    wanted: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = (gateway(f"{name}, namespace: {space}") for name, space in (("g", "a"), ("h", "a"), ("g", "b")))
    monkeypatch.chdir(folder_of(tmp_path, {"a.yaml": "---\n".join(texts)}))
    plan = make_plan(Path(), wanted, {}, Listen())
    assert [str(problem) for problem in plan.problems] == ([expected] if " " in expected else [])
    assert str(plan.gateway) == ("None" if " " in expected else expected)


def test_a_broken_gateway_is_not_told_to_be_missing(tmp_path: Path) -> None:
    folder_of(tmp_path, {"gateway.yaml": gateway("g").replace("spec: {}", "spec: {no: field}")})
    plan = make_plan(tmp_path, None, {}, Listen())
    assert [problem.path for problem in plan.problems] == ["spec.no"]


def test_no_message_shows_a_value_of_a_secret(tmp_path: Path) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: 0777123, b: 987654, c: [hunter2]}\n"
    plan = make_plan(folder_of(tmp_path, {"a.yaml": gateway("g"), "s.yaml": secret}), None, {}, Listen())
    assert [problem.path for problem in plan.problems] == ["stringData.a", "stringData.b", "stringData.c"]
    told = "\n".join(map(str, plan.problems))
    assert not any(value in told for value in ("0777123", "987654", "hunter2"))


def test_what_is_no_regular_file_is_a_problem_and_is_not_opened(tmp_path: Path) -> None:
    """To open a FIFO waits for its writer, and a device never ends."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    assert [str(problem) for problem in read_folder(tmp_path).problems] == [
        f"{tmp_path}/pipe.yaml: is no regular file",
        f"{tmp_path}/zero.yaml: is no regular file",
    ]


def test_a_file_that_is_too_large_is_a_problem_and_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(11 * 1024**2)
    assert [str(problem) for problem in read_folder(tmp_path).problems] == [
        f"{tmp_path}/large.yaml: is larger than 10 MiB"
    ]

"""The folder that the gateway reads: whole files, credentials before the document, nobody else may look."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from llm_gateway_config import Secret
from llm_gateway_operator.workspace import Workspace, private_folder, remove_abandoned


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def listed(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Workspace(tmp_path).write("contract: 1\n", {"a.b.c.12345678": Secret("sk-1")})
    finally:
        os.umask(before)
    assert (tmp_path / "a.b.c.12345678").read_text() == "sk-1"
    assert mode(tmp_path / "gateway.yaml") == 0o600
    assert mode(tmp_path / "a.b.c.12345678") == 0o600


def test_credentials_of_the_last_two_documents_stay(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name in ("one", "two", "three"):
        workspace.write(f"revision: {name}\n", {name: Secret(name)})
    assert listed(tmp_path) == ["gateway.yaml", "three", "two"]
    assert workspace.document.read_text() == "revision: three\n"


def test_the_document_is_replaced_after_its_credentials_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced: list[str] = []
    real = os.replace

    def record(source: Path, target: Path) -> None:
        assert source.read_text() in ("sk-1", "sk-2", "contract: 1\n")
        replaced.append(target.name)
        real(source, target)

    monkeypatch.setattr(os, "replace", record)
    Workspace(tmp_path).write("contract: 1\n", {"b": Secret("sk-1"), "a": Secret("sk-2")})
    assert replaced == ["a", "b", "gateway.yaml"]


def test_folders_of_killed_owners_are_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    abandoned, other = tmp_path / f"llm-gateway-{gone.pid}-abc", tmp_path / "llm-gateway-notes"
    abandoned.mkdir()
    (abandoned / "key").write_text("sk-secret")
    other.mkdir()
    theirs = tmp_path / f"llm-gateway-{os.getppid()}-abc"
    theirs.mkdir()
    with private_folder() as ours:
        remove_abandoned()
        assert sorted(tmp_path.iterdir()) == sorted([Path(ours), other, theirs])


def test_what_only_looks_like_an_abandoned_folder_stays_and_hides_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, elsewhere = tmp_path / "tmp", tmp_path / "elsewhere"
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    gone = subprocess.Popen(["true"])
    gone.wait()
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("text")
    temporary.mkdir()
    (temporary / f"llm-gateway-{gone.pid}-nowhere").symlink_to("nowhere")
    (temporary / f"llm-gateway-{gone.pid}-link").symlink_to(elsewhere)
    (temporary / f"llm-gateway-{gone.pid}-file").write_text("text")
    for owner in ("\N{SUPERSCRIPT TWO}", "0", "99999999999"):
        (temporary / f"llm-gateway-{owner}-abc").mkdir()
    before = sorted(temporary.iterdir())
    for number in range(4):
        (temporary / f"llm-gateway-{gone.pid}-{number}").mkdir()
    remove_abandoned()
    assert sorted(temporary.iterdir()) == before
    assert (elsewhere / "mine").exists()


def test_a_folder_of_another_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    folder = tmp_path / f"llm-gateway-{gone.pid}-abc"
    folder.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    remove_abandoned()
    assert folder.exists()

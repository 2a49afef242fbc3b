"""Edits are noticed however an editor makes them."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from watchfiles._rust_notify import WatchfilesRustInternalError

from llm_gateway_operator.watch import Signature, changes, signature

WITHIN = 10.0  # seconds; generous, so that a busy machine does not fail the test


class Watcher:
    """Follows a target in the background and remembers how often it changed."""

    def __init__(self, target: Path) -> None:
        self.seen: asyncio.Queue[Signature | None] = asyncio.Queue()
        self._target = target

    async def run(self, before: Signature | None) -> None:
        async for now in changes(self._target, asyncio.Event(), before):
            self.seen.put_nowait(now)

    async def until(self, wanted: Signature | None) -> None:
        async with asyncio.timeout(WITHIN):
            while await self.seen.get() != wanted:
                pass


@asynccontextmanager
async def watching(target: Path) -> AsyncIterator[Watcher]:
    watcher = Watcher(target)
    task = asyncio.create_task(watcher.run(signature(target)))
    await asyncio.sleep(0.2)
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def write(folder: Path) -> None:
    (folder / "a.yaml").write_text("b: 1, but longer")


def rename_over(folder: Path) -> None:
    beside = folder / ".a.yaml.swp"
    beside.write_text("b: 2")
    beside.replace(folder / "a.yaml")


def rename_away_and_write(folder: Path) -> None:
    (folder / "a.yaml").rename(folder / "a.yaml~")
    (folder / "a.yaml").write_text("b: 2")


def add_in_a_new_folder(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more/b.yaml").write_text("b: 2")


def remove(folder: Path) -> None:
    (folder / "a.yaml").unlink()


def swap_the_link(folder: Path) -> None:
    (folder / "..new").symlink_to("..v2")
    os.replace(folder / "..new", folder / "..data")


def write_behind_the_link(folder: Path) -> None:
    (folder.parent / "elsewhere.yaml").write_text("b: 1, but longer")


def put_permissions_right(folder: Path) -> None:
    (folder / "a.yaml").chmod(0o600)


EDITS: dict[str, Callable[[Path], None]] = {
    "written in place": write,
    "replaced by a temporary file": rename_over,
    "renamed away and written anew": rename_away_and_write,
    "added in a new folder": add_in_a_new_folder,
    "removed": remove,
    "a mounted volume swapped": swap_the_link,
    "permissions put right": put_permissions_right,
    "written behind a link, outside the folder": write_behind_the_link,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    for version in ("..v1", "..v2"):
        (folder / version).mkdir(parents=True)
        (folder / version / "volume.yaml").write_text(version)
    (folder / "..data").symlink_to("..v1")
    (folder / "volume.yaml").symlink_to("..data/volume.yaml")
    (folder / "a.yaml").write_text("b: 1")
    (tmp_path / "elsewhere.yaml").write_text("b: 1")
    (folder / "linked.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    return folder


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_an_edit_is_noticed(edit: Callable[[Path], None], folder: Path) -> None:
    before = signature(folder)
    async with watching(folder) as watcher:
        edit(folder)
        assert signature(folder) != before
        await watcher.until(signature(folder))


async def test_a_single_file_is_noticed_when_it_is_replaced(folder: Path) -> None:
    async with watching(folder / "a.yaml") as watcher:
        rename_over(folder)
        await watcher.until(signature(folder / "a.yaml"))


async def test_a_folder_that_goes_and_comes_back(folder: Path) -> None:
    async with watching(folder) as watcher:
        shutil.rmtree(folder)
        await watcher.until(None)
        folder.mkdir()
        write(folder)
        await watcher.until(signature(folder))
        rename_over(folder)
        await watcher.until(signature(folder))


async def test_without_notifications_it_goes_on_by_looking(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def awatch(*_: Any, **__: Any) -> AsyncIterator[None]:
        raise WatchfilesRustInternalError("Error creating recommended watcher: Too many open files")
        yield

    monkeypatch.setattr("llm_gateway_operator.watch.awatch", awatch)
    async with watching(folder) as watcher:
        for edit in (write, rename_over):
            edit(folder)
            await watcher.until(signature(folder))


async def test_what_is_no_file_of_ours_is_no_edit(folder: Path) -> None:
    async with watching(folder) as watcher:
        (folder / "README.md").write_text("text")
        (folder / ".hidden.yaml").write_text("b: 1")
        write(folder)
        await watcher.until(signature(folder))
        assert watcher.seen.empty()

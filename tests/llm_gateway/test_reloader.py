"""The reloader in the test's own process: what it must not miss, and what must not end its watching."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from watchfiles._rust_notify import WatchfilesRustInternalError

from llm_gateway import reload
from llm_gateway.reload import Reloader
from llm_gateway.runtime import Runtime, build
from llm_gateway.upstream.registry import Upstreams
from llm_gateway_config import Loaded, Problem, load_file, refusal
from llm_gateway_testing.inprocess import InProcess

LIMIT = 10.0  # seconds


class Watched:
    """A gateway that began with the model "first", and the file of its document."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gateway.yaml"
        self.write("first")
        self._loaded = load_file(self.path, {})
        self.process = InProcess(self.path.read_text())

    def write(self, model: str, **fields: str) -> None:
        more = "".join(f", {name}: {value}" for name, value in fields.items())
        new = self.path.with_suffix(".new")
        new.write_text(
            f"providers: {{p: {{type: openai_compatible, base_url: 'https://llm/v1', models: [{model}]{more}}}}}"
        )
        new.replace(self.path)

    def load(self) -> Loaded:
        return load_file(self.path, {})

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Reloader]:
        gateway = self.process.gateway
        upstreams = Upstreams(self.process.clock)
        reloader = Reloader(self.path, self._loaded, gateway, upstreams, self.load, lambda loaded: None, {})
        task = asyncio.create_task(reloader.run())
        await asyncio.sleep(0)
        try:
            yield reloader
            assert not task.done(), "the watching has ended"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def serves(self, model: str) -> None:
        await until(lambda: list(self.process.gateway.runtime.models) == [model])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110  # nobody tells when it holds
            await asyncio.sleep(0.01)


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(reload, "LOOK_AGAIN", 50)
    return Watched(tmp_path)


async def test_an_edit_before_the_watching_begins_is_not_lost(watched: Watched) -> None:
    watched.write("second")
    async with watched.watching():
        await watched.serves("second")


async def test_an_edit_right_after_a_read_is_not_lost(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_edit() -> Loaded:
        loaded = load_file(watched.path, {})
        if loaded.config.providers["p"].models[0].name == "second":
            watched.write("third")
        return loaded

    monkeypatch.setattr(watched, "load", read_and_edit)
    async with watched.watching():
        watched.write("second")
        await watched.serves("third")


async def test_refusals_that_follow_each_other_bring_nothing_into_force(watched: Watched) -> None:
    """A renderer's note is no document: it changes what is refused, and nothing else."""
    async with watched.watching() as reloader:
        runtime = watched.process.gateway.runtime
        for at in (1.0, 2.0, 3.0):
            problem = Problem("provider.yaml", 3, "spec.weight", "must be 0 or more, is -3")
            refusal.write(watched.path.parent, [problem], at)
            await until(lambda at=at: reloader.refused is not None and reloader.refused.at == at)  # type: ignore[misc]
        assert watched.process.gateway.runtime.loaded_at == runtime.loaded_at
        refusal.clear(watched.path.parent)
        await until(lambda: reloader.refused is None)
    counted = watched.process.instruments
    assert (counted.reloads_refused.value, counted.reloads_applied.value) == (3, 0)


async def test_a_file_made_readable_again_is_read(watched: Watched) -> None:
    """chmod changes neither what is in a file nor when it was written."""
    async with watched.watching():
        before = reload._signature([watched.path])
        watched.path.chmod(0o640)
        assert reload._signature([watched.path]) != before


async def test_a_fault_of_ours_is_a_refusal_and_does_not_end_the_watching(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(loaded: Loaded, upstreams: Upstreams) -> Runtime:
        if loaded.config.providers["p"].models[0].name == "second":
            raise KeyError("of ours")
        return build(loaded, upstreams)

    monkeypatch.setattr(reload, "build", breaks)
    async with watched.watching() as reloader:
        watched.write("second")
        await until(lambda: reloader.refused is not None)
        assert reloader.refused is not None
        (problem,) = reloader.refused.problems
        assert (problem.file, problem.message) == (
            str(watched.path),
            "cannot be used; the log has the reason",
        )
        assert [type(error) for error in watched.process.reported] == [KeyError]
        assert list(watched.process.gateway.runtime.models) == ["first"]
        watched.write("third")
        await watched.serves("third")
        assert reloader.refused is None
    counted = watched.process.instruments
    assert (counted.reloads_refused.value, counted.reloads_applied.value) == (1, 1)


async def test_without_notifications_it_goes_on_by_looking(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def awatch(*_: Any, **__: Any) -> AsyncIterator[None]:
        raise WatchfilesRustInternalError("Error creating recommended watcher: Too many open files")
        yield

    monkeypatch.setattr("watchfiles.awatch", awatch)
    async with watched.watching():
        for model in ("second", "third"):
            watched.write(model)
            await watched.serves(model)


async def test_a_document_refused_for_its_authorities_is_taken_over_when_they_come(watched: Watched) -> None:
    folder = watched.path.parent / "authorities"
    folder.mkdir()
    async with watched.watching() as reloader:
        watched.write("second", tls="{ca_path: authorities/trust.pem}")
        await until(lambda: reloader.refused is not None)
        assert reloader.refused is not None
        assert "trust.pem cannot be used: No such file" in reloader.refused.problems[0].message
        trustme.CA().cert_pem.write_to_path(folder / "trust.pem")
        await watched.serves("second")
        assert reloader.refused is None


async def test_a_document_that_became_a_fifo_is_refused_and_stops_nothing(watched: Watched) -> None:
    async with watched.watching() as reloader:
        watched.path.unlink()
        os.mkfifo(watched.path)
        await until(lambda: reloader.refused is not None)
        watched.write("second")
        await watched.serves("second")

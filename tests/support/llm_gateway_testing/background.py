"""An event loop in a thread: asyncio servers for tests that are themselves plain, and block on sockets."""

import asyncio
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from llm_gateway_testing.upstream import Behaviour, Upstream

T = TypeVar("T")


class Background:
    """`with Background() as background:` then `background.run(coroutine)`, or `start` for one that goes on."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> "Background":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T], limit: float = 60.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(limit)

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports that were closed say so to their protocols in the next turn


@contextmanager
def upstream_in_background(
    behaviours: dict[str, Behaviour], tls: ssl.SSLContext | None = None
) -> Iterator[Upstream]:
    with Background() as background:
        upstream = background.run(Upstream(behaviours, tls=tls).__aenter__())
        try:
            yield upstream
        finally:
            background.run(upstream.__aexit__())

"""Upstream behaviours that last until a test lets them end."""

import asyncio
import threading

from llm_gateway_testing.upstream import (
    DONE,
    END,
    ROLE,
    SSE_HEAD,
    STOP,
    Behaviour,
    Peer,
    answers,
    completion,
    words,
)


class Gate:
    """Opened and closed by a test, waited for on the loop of an upstream in the background."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.clear()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    async def passed(self) -> None:
        while not self._open.is_set():  # noqa: ASYNC110  # it is opened by another thread
            await asyncio.sleep(0.01)


def held(gate: Gate, pause: float = 0.1) -> Behaviour:
    """A stream goes on until the gate opens, and then ends well; an answer that does not stream comes then."""

    async def behave(peer: Peer) -> bool:
        if not peer.request.json.get("stream"):
            await gate.passed()
            return await answers(200, completion("held"))(peer)
        await peer.send(SSE_HEAD)
        await peer.chunk(ROLE + words("begun"))
        while not gate.is_open:
            await peer.chunk(words(" and"))
            await asyncio.sleep(pause)
        await peer.chunk(words(" ended") + STOP + DONE)
        await peer.send(END)
        return True

    return behave


def mute(gate: Gate) -> Behaviour:
    """The head of a stream, and nothing more until the gate opens."""

    async def behave(peer: Peer) -> bool:
        await peer.send(SSE_HEAD)
        await gate.passed()
        await peer.chunk(ROLE + words("late") + STOP + DONE)
        await peer.send(END)
        return True

    return behave

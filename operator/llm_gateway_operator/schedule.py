"""Which key is to be worked on next, and when. Pure: time is an argument, in seconds on any monotonic clock."""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `hot`: starts of one key within a minute from which on it counts as a hot loop."""

    debounce: float = 0.1
    max_wait: float = 2.0
    first_backoff: float = 0.5
    last_backoff: float = 300.0
    backoff_after_change: float = 5.0
    hot: int = 30


_PACE = Pace()


@dataclass(slots=True)
class _Entry:
    due: float | None = None  # None: nothing to do
    first_added: float | None = None  # the oldest change that was not worked on yet
    active: bool = False
    failures: int = 0
    failed_at: float = 0.0
    not_before: float = 0.0  # what the server asked for


class Schedule(Generic[K]):
    """`random`: uniform in [0, 1).

    - A key is taken by one at a time. What is added while it is being worked on makes it due once more, afterwards.
    - `add` waits `debounce` for more of the same, and at most `max_wait` since the first: a storm postpones nothing
      for ever.
    - Keys are taken in the order in which they became due; none can starve another.
    - After the n-th failure in a row a key waits first_backoff * 2^(n-1), at most `last_backoff`, varied by a fifth,
      and at least what the server asked for. A change meanwhile shortens the wait to `backoff_after_change` since the
      failure: a mistake that was mended is noticed soon, and a write of ours that failed half-way cannot spin.
    """

    def __init__(self, random: Callable[[], float], pace: Pace = _PACE) -> None:
        self._random = random
        self._pace = pace
        self._entries: dict[K, _Entry] = {}
        self._heap: list[tuple[float, int, K]] = []  # may hold outdated times: the entry's own decides
        self._count = 0
        self._starts: deque[tuple[float, K]] = deque()  # of the last minute
        self._started: Counter[K] = Counter()

    def add(self, key: K, now: float) -> None:
        """Something changed that concerns `key`."""
        entry = self._entries.setdefault(key, _Entry())
        due = now + self._pace.debounce
        if entry.first_added is None:
            entry.first_added = now
            due = due if entry.due is None else min(due, entry.due)
        else:
            due = min(due, entry.first_added + self._pace.max_wait)
        if entry.failures:
            # A backoff that ends sooner still ends then.
            due = min(
                max(due, self._after_change(entry)), entry.due if entry.due is not None else float("inf")
            )
        self._set_due(key, entry, due)

    def add_after(self, key: K, delay: float, now: float) -> None:
        """`key` is to be looked at in `delay` seconds, unless it is sooner anyway."""
        entry = self._entries.setdefault(key, _Entry())
        if entry.due is None or now + delay < entry.due:
            self._set_due(key, entry, now + delay)

    def take(self, now: float) -> K | None:
        """The key that has been due longest, now being worked on; None when none is due. `done` or `failed` must
        follow."""
        due = self.next_due()
        if due is None or due > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        entry = self._entries[key]
        entry.active, entry.due, entry.first_added = True, None, None
        self._note_start(key, now)
        return key

    def done(self, key: K, now: float, again_after: float | None = None) -> None:
        """It was worked on with success. `again_after`: seconds until the next look, if nothing happens before."""
        entry = self._entries[key]
        entry.failures, entry.not_before = 0, 0.0
        if entry.first_added is not None:  # changed meanwhile
            self.add_after(key, self._pace.debounce, now)
        if again_after is not None:
            self.add_after(key, again_after, now)
        self._settle(key, entry)

    def failed(self, key: K, now: float, retry_after: float | None = None) -> None:
        """It could not be done now, and shall be tried again. `retry_after`: seconds that the server asked for."""
        entry = self._entries[key]
        entry.failures += 1
        entry.failed_at = now
        entry.not_before = now + (retry_after or 0.0)
        wait = min(self._pace.first_backoff * 2.0 ** min(entry.failures - 1, 30), self._pace.last_backoff)
        entry.due = max(now + wait * (0.8 + 0.4 * self._random()), entry.not_before)
        if entry.first_added is not None:  # changed meanwhile
            entry.due = min(entry.due, self._after_change(entry))
        self._settle(key, entry)

    def next_due(self) -> float | None:
        """When there will be something to take; None: not unless something is added."""
        while self._heap:
            due, _, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and not entry.active and entry.due == due:
                return due
            heapq.heappop(self._heap)
        return None

    # --- for metrics and health

    def oldest_wait(self, now: float) -> float:
        """Seconds that the key that has been due longest has waited for somebody to take it; 0.0 when none has."""
        due = self.next_due()
        return max(now - due, 0.0) if due is not None else 0.0

    def depth(self, now: float) -> int:
        """How many keys are due and not taken."""
        waiting = (each.due for each in self._entries.values() if not each.active)
        return sum(1 for due in waiting if due is not None and due <= now)

    def failing(self) -> int:
        """How many keys failed the last time."""
        return sum(1 for each in self._entries.values() if each.failures)

    def hot(self, now: float) -> tuple[K, ...]:
        """Keys that were taken so often within the last minute that something must be feeding on itself."""
        self._forget_starts(now)
        return tuple(key for key, count in self._started.items() if count >= self._pace.hot)

    # --- inside

    def _after_change(self, entry: _Entry) -> float:
        return max(entry.failed_at + self._pace.backoff_after_change, entry.not_before)

    def _set_due(self, key: K, entry: _Entry, due: float) -> None:
        if entry.due == due:
            return
        entry.due = due
        if not entry.active:
            self._push(key, due)

    def _push(self, key: K, due: float) -> None:
        self._count += 1  # of equal times the first comes first
        heapq.heappush(self._heap, (due, self._count, key))

    def _settle(self, key: K, entry: _Entry) -> None:
        """After work: what came meanwhile is due, and a key with nothing to do is forgotten."""
        entry.active = False
        if entry.due is not None:
            self._push(key, entry.due)
        else:
            del self._entries[key]

    def _note_start(self, key: K, now: float) -> None:
        self._forget_starts(now)
        self._starts.append((now, key))
        self._started[key] += 1

    def _forget_starts(self, now: float) -> None:
        while self._starts and self._starts[0][0] <= now - _MINUTE:
            _, key = self._starts.popleft()
            self._started[key] -= 1
            if not self._started[key]:
                del self._started[key]

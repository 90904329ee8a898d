"""Sends sessions at a server: so many at once (closed loop), or at given times (open loop)."""

import asyncio
import dataclasses
import itertools
import random
import time
from collections.abc import Iterable, Iterator

from .http_client import Answer, Client
from .workloads import Request, Session


@dataclasses.dataclass(frozen=True)
class Api:
    """How a request is written."""

    model: str
    chat: bool
    ignore_eos: bool = True
    usage: bool = True

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self.chat else "/v1/completions"

    def body(self, request: Request) -> dict:
        body = {"model": self.model, "max_tokens": request.max_tokens, "temperature": 0, "stream": True}
        if self.ignore_eos:
            body["ignore_eos"] = True
        if self.usage:
            body["stream_options"] = {"include_usage": True}
        if self.chat:
            body["messages"] = list(request.messages)
        else:
            body["prompt"] = "\n".join(message["content"] for message in request.messages)
        return body


@dataclasses.dataclass
class Run:
    """What came of it."""

    answers: list[Answer] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    skipped: int = 0  # arrivals that found too many requests under way
    cut_off: bool = False  # by the time limit


class Driver:
    """Runs sessions until `requests` were sent, or `duration` seconds went by, whichever is first."""

    def __init__(self, client: Client, api: Api, requests: int, duration: float):
        self._client, self._api = client, api
        self._left, self._duration = requests, duration
        self._run = Run()

    async def closed(self, sessions: Iterable[Session], clients: int) -> Run:
        """`clients` clients, each with one request under way."""
        source = iter(sessions)

        async def client() -> None:
            while self._left > 0 and (session := next(source, None)) is not None:
                await self._session(session)

        return await self._bounded(*(client() for _ in range(clients)))

    async def open(self, sessions: Iterable[Session], rate: float | None, seed: int, most_under_way: int) -> Run:
        """Sessions begin at their own times; without such, `rate` a second with exponential gaps (Poisson)."""
        return await self._bounded(self._arrivals(timed(sessions, rate, seed), most_under_way))

    async def _arrivals(self, sessions: Iterator[tuple[float, Session]], most_under_way: int) -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            under_way: set[asyncio.Task] = set()
            for at, session in sessions:
                if self._left <= 0:
                    break
                await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
                if len(under_way) >= most_under_way:
                    self._run.skipped += 1
                    self._left -= 1
                    continue
                task = group.create_task(self._session(session))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                # The first request of a session counts when it arrives, so that no more sessions come than requests.
                await asyncio.sleep(0)

    async def _session(self, session: Session) -> None:
        turns, text = session.requests(), None
        keep_text = len(session.questions) > 1
        while self._left > 0:
            try:
                request = turns.send(text)
            except StopIteration:
                return
            self._left -= 1
            answer = await self._client.post(self._api.path, self._api.body(request), keep_text)
            self._run.answers.append(answer)
            if answer.error:
                return
            text = answer.text

    async def _bounded(self, *work) -> Run:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._duration):
                await asyncio.gather(*work)
        except TimeoutError:
            self._run.cut_off = True
        self._run.seconds = time.perf_counter() - began
        return self._run


def timed(sessions: Iterable[Session], rate: float | None, seed: int) -> Iterator[tuple[float, Session]]:
    source, at = random.Random(f"{seed} arrivals"), 0.0
    for session in sessions:
        if rate is not None:
            at += source.expovariate(rate)
            yield at, session
        else:
            yield session.at or 0.0, session


def fresh(sessions: Iterator[Session], warmup: int) -> tuple[list[Session], Iterator[Session]]:
    """The first `warmup` sessions, and the others."""
    return list(itertools.islice(sessions, warmup)), sessions

"""A small HTTP/1.1 client for streamed answers.

It shares its processor with the server that it measures, so it does the least: bytes are looked at once, as they
arrive, and an event's JSON is parsed only if it carries more than text.
"""

import asyncio
import dataclasses
import json
import re
import time

MAX_HEAD_BYTES = 64 * 1024
MAX_LINE_BYTES = 4 * 1024 * 1024

TEXT = re.compile(rb'"(?:content|text|reasoning|reasoning_content)"\s*:\s*"(?!")')
# Usage, an error or a reason to finish. In a JSON string the quotes would be escaped, so text cannot look like this.
TELLING = re.compile(rb'"(?:usage|error|finish_reason)"\s*:\s*["{]')
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


@dataclasses.dataclass
class Answer:
    """What came back for one request. Times are of time.perf_counter(), in seconds."""

    sent: float
    status: int = 0
    text_times: list[float] = dataclasses.field(default_factory=list)  # one per event that carried text
    ended: float = 0.0
    finish_reason: str | None = None
    usage: dict | None = None
    error: str | None = None  # the kind of failure; None: the whole answer came
    text: str = ""  # only if asked for
    body: bytes = b""  # of an answer that is no stream

    def fail(self, kind: str) -> None:
        self.error = self.error or kind


class Failure(Exception):
    """A failure with its kind, as the report names it."""


class BodyReader:
    """Takes the transfer encoding off a body. feed() returns what is new; `done` says that the body is whole."""

    def __init__(self, headers: dict[bytes, bytes]):
        self._chunked = b"chunked" in headers.get(b"transfer-encoding", b"").lower()
        length = headers.get(b"content-length")
        self._left = int(length) if length is not None and not self._chunked else None
        self._buffer = b""
        self.ends_with_connection = self._left is None and not self._chunked
        self.done = self._left == 0

    def feed(self, data: bytes) -> bytes:
        if self._chunked:
            return self._feed_chunks(data)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
            self.done = self._left == 0
        return data

    def _feed_chunks(self, data: bytes) -> bytes:
        buffer = self._buffer + data if self._buffer else data
        parts, at = [], 0
        while not self.done:
            head = CHUNK_SIZE.match(buffer, at)
            if head is None:
                if len(buffer) - at > 1024:
                    raise Failure("malformed HTTP")
                break
            size, begin = int(head[1], 16), head.end()
            if len(buffer) < begin + size + 2:
                break
            if size == 0:
                self.done = True
            parts.append(buffer[begin : begin + size])
            at = begin + size + 2
        self._buffer = buffer[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._waiter: asyncio.Future | None = None
        self._keep_text = False
        self._begin()

    def _begin(self) -> None:
        self._head = b""
        self._body: BodyReader | None = None
        self._lines: list[bytes] = []
        self._rest = b""
        self._streamed = False
        self._keep_alive = True

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and self._waiter is None

    async def ask(self, request: bytes, keep_text: bool = False) -> Answer:
        """Sends a whole request and waits for the whole answer. Cancelling closes the connection."""
        self._begin()
        self._keep_text = keep_text
        self._waiter = asyncio.get_running_loop().create_future()
        self._answer = answer = Answer(sent=time.perf_counter())
        self._transport.write(request)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if not self._keep_alive or answer.error or not answer.ended:
                self.close()
        return answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def partial(self) -> Answer | None:
        return self._answer

    # ---- asyncio.Protocol ---------------------------------------------------------------------------

    def connection_made(self, transport) -> None:
        self._transport = transport

    def connection_lost(self, exception: Exception | None) -> None:
        if self._body is not None and self._body.ends_with_connection:
            self._finish()
        else:
            self._finish("connection closed early")

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        try:
            if self._body is None:
                data = self._read_head(data)
                if self._body is None:
                    return
            body = self._body.feed(data)
            if self._streamed:
                self._read_events(body, now)
            else:
                self._answer.body += body
            if self._body.done:
                self._finish()
        except (Failure, ValueError) as failure:
            self._finish(str(failure) if isinstance(failure, Failure) else "malformed answer")

    def _read_head(self, data: bytes) -> bytes:
        self._head += data
        head, blank, rest = self._head.partition(b"\r\n\r\n")
        if not blank:
            if len(self._head) > MAX_HEAD_BYTES:
                raise Failure("malformed HTTP")
            return b""
        status, *fields = head.split(b"\r\n")
        headers = {}
        for field in fields:
            name, _, value = field.partition(b":")
            headers[name.strip().lower()] = value.strip()
        self._answer.status = int(status.split(b" ", 2)[1])
        if self._answer.status == 100:
            self._head = b""
            return self._read_head(rest) if rest else b""
        self._keep_alive = headers.get(b"connection", b"").lower() != b"close"
        self._streamed = headers.get(b"content-type", b"").startswith(b"text/event-stream")
        self._body = BodyReader(headers)
        return rest

    def _read_events(self, data: bytes, now: float) -> None:
        lines = (self._rest + data).split(b"\n") if self._rest else data.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE_BYTES:
            raise Failure("event too long")
        for line in lines:
            if line.startswith(b"data:"):
                self._read_event(line[5:], now)

    def _read_event(self, data: bytes, now: float) -> None:
        answer = self._answer
        if TEXT.search(data):
            answer.text_times.append(now)
        if self._keep_text or TELLING.search(data):
            text = data.strip()
            if text != b"[DONE]":
                self._read_json(json.loads(text), now)

    def _read_json(self, event: dict, now: float) -> None:
        answer = self._answer
        if event.get("usage"):
            answer.usage = event["usage"]
        if event.get("error"):
            answer.fail(error_kind(event, "error event"))
        for choice in event.get("choices") or ():
            if choice.get("finish_reason"):
                answer.finish_reason = choice["finish_reason"]
                answer.ended = now
            if self._keep_text:
                answer.text += (choice.get("delta") or {}).get("content") or choice.get("text") or ""

    def _finish(self, failure: str | None = None) -> None:
        if self._waiter is None or self._waiter.done():
            return
        answer = self._answer
        if failure:
            answer.fail(failure)
        elif answer.status != 200:
            answer.fail(http_failure(answer))
        elif self._streamed and answer.finish_reason is None:
            answer.fail("stream without finish_reason")
        answer.ended = answer.ended or time.perf_counter()
        self._waiter.set_result(None)


def error_kind(document, fallback: str) -> str:
    """The code of an error in OpenAI's form: {"error": {"code": ...}}."""
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        return f"{fallback}: {error.get('code') or error.get('type') or 'unnamed'}"
    return fallback


def http_failure(answer: Answer) -> str:
    try:
        return error_kind(json.loads(answer.body), f"HTTP {answer.status}")
    except ValueError:
        return f"HTTP {answer.status}"


class Client:
    """Keeps connections to one server open, and sends requests over them."""

    def __init__(self, host: str, port: int, timeout: float):
        self._host, self._port, self._timeout = host, port, timeout
        self._idle: list[Connection] = []

    async def get(self, path: str) -> Answer:
        return await self._exchange(f"GET {path} HTTP/1.1\r\n{self._common()}\r\n".encode(), False)

    async def post(self, path: str, body: dict, keep_text: bool = False) -> Answer:
        data = json.dumps(body).encode()
        head = (f"POST {path} HTTP/1.1\r\n{self._common()}Content-Type: application/json\r\n"
                f"Content-Length: {len(data)}\r\n\r\n")
        return await self._exchange(head.encode() + data, keep_text)

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _common(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"Host: {host}:{self._port}\r\nAuthorization: Bearer none\r\nAccept: */*\r\n"

    async def _exchange(self, request: bytes, keep_text: bool) -> Answer:
        began = time.perf_counter()
        connection = None
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connect()
                answer = await connection.ask(request, keep_text)
        except TimeoutError:
            answer = (connection.partial() if connection else None) or Answer(began)
            answer.fail("timeout")
        except OSError as error:
            answer = Answer(began)
            answer.fail(f"connect: {error.strerror or type(error).__name__}")
        answer.sent = began
        answer.ended = answer.ended or time.perf_counter()
        if connection is not None and connection.usable:
            self._idle.append(connection)
        return answer

    async def _connect(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, self._host, self._port))[1]

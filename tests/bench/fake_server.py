"""A server that answers as it is told, byte by byte."""

import asyncio
import json
import threading


def event(document) -> bytes:
    return b"data: " + (document if isinstance(document, bytes) else json.dumps(document).encode()) + b"\n\n"


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def text_event(text: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}}]})


def good_stream(words=("one", " two", " three"), usage=None) -> bytes:
    """A whole answer of the chat endpoint, as servers write it: role first, [DONE] last."""
    usage = usage or {"prompt_tokens": 10, "completion_tokens": len(words), "prompt_tokens_details": {"cached_tokens": 4}}
    events = [event({"choices": [{"delta": {"role": "assistant", "content": ""}}]}), *map(text_event, words),
              event({"choices": [{"delta": {}, "finish_reason": "length"}]}),
              event({"choices": [], "usage": usage}), event(b"[DONE]")]
    return STREAM_HEAD + chunked(*events)


def json_answer(status: int, document) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


class FakeServer:
    """Runs in a thread. `answer(path, body)` gives the bytes of an answer, None to close; they are sent `piece` at a time."""

    def __init__(self, answer, piece: int = 1 << 20, pause: float = 0):
        self.asked: list[dict] = []
        self.connections = 0
        self.most_at_once = 0
        self._at_once = 0
        self._answer, self._piece, self._pause = answer, piece, pause
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def __enter__(self) -> "FakeServer":
        return self

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _connection(self, reader, writer) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader, writer) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("Content-Length")), 0)
        body = await reader.readexactly(length)
        if path == "/v1/models":
            writer.write(json_answer(200, {"data": [{"id": "fake"}]}))
            return True
        self.asked.append(json.loads(body))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        answer = self._answer(path, self.asked[-1])
        for at in range(0, len(answer or b""), self._piece):
            writer.write(answer[at : at + self._piece])
            await writer.drain()
            await asyncio.sleep(self._pause)
        self._at_once -= 1
        return answer is not None and answer.endswith(b"0\r\n\r\n")

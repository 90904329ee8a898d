"""Serves OpenVINO GenAI's continuous batching over the streamed part of the OpenAI API. Runs in the peer's environment.

OpenVINO GenAI has no server in its Python package. This one does as little as it can around the pipeline: what a
step made goes out as one event for each sequence. Enough for serve_load, and for nothing else.
"""

import argparse
import asyncio
import json

import openvino_genai

SOCKET_TURNS = 6  # of the event loop after a step: enough to write, to read a request and to tokenize it


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kv", default="f16")
    parser.add_argument("--chunk", type=int, default=1024, help="max_num_batched_tokens")
    parser.add_argument("--max-batch", type=int, default=64)
    return parser.parse_args()


class Stream:
    """A request in the pipeline. `queue` holds the tokens of a step as a list, and None at the end."""

    def __init__(self, tokens, config):
        self.tokens, self.config = tokens, config
        self.queue: asyncio.Queue = asyncio.Queue()
        self.handle = None
        self.made = 0


class Engine:
    """Steps the pipeline while there is anything to do."""

    def __init__(self, args: argparse.Namespace):
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = 2  # GiB
        scheduler.max_num_seqs = args.max_batch
        scheduler.max_num_batched_tokens = args.chunk
        scheduler.enable_prefix_caching = True
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            args.model, scheduler, "CPU", {"INFERENCE_NUM_THREADS": args.threads, "KV_CACHE_PRECISION": args.kv})
        self.tokenizer = self._pipeline.get_tokenizer()
        self._arrived: asyncio.Queue = asyncio.Queue()
        self._next_id = 0

    def submit(self, stream: Stream) -> None:
        self._arrived.put_nowait(stream)

    async def run(self) -> None:
        """step() holds Python's lock, so the sockets get their turn between two steps, in the same thread."""
        running: list[Stream] = []
        while True:
            while not running or not self._arrived.empty():
                running.append(self._begin(await self._arrived.get()))
            self._pipeline.step()
            running = [stream for stream in running if self._deliver(stream)]
            for _ in range(SOCKET_TURNS):
                await asyncio.sleep(0)

    def _begin(self, stream: Stream) -> Stream:
        stream.handle = self._pipeline.add_request(self._next_id, stream.tokens, stream.config)
        self._next_id += 1
        return stream

    @staticmethod
    def _deliver(stream: Stream) -> bool:
        """Passes on what the last step made for one sequence. False: it was the last."""
        while stream.handle.can_read():
            for output in stream.handle.read().values():
                ids = list(output.generated_ids)
                stream.made += len(ids)
                stream.queue.put_nowait(ids)
        if stream.made < stream.config.max_new_tokens:
            return True
        stream.queue.put_nowait(None)
        return False


class Server:
    def __init__(self, engine: Engine):
        self._engine = engine

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0)
        body = await reader.readexactly(length)
        if path == "/v1/chat/completions":
            await self._chat(json.loads(body), writer)
        else:
            answer = json.dumps({"object": "list", "data": [{"id": "openvino", "object": "model"}]}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        return True

    async def _chat(self, ask: dict, writer: asyncio.StreamWriter) -> None:
        tokenizer = self._engine.tokenizer
        text = tokenizer.apply_chat_template(ask["messages"], add_generation_prompt=True)
        tokens = tokenizer.encode(text, add_special_tokens=False).input_ids
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = ask["max_tokens"]
        config.ignore_eos = True
        config.do_sample = False
        stream = Stream(tokens, config)
        self._engine.submit(stream)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (ids := await stream.queue.get()) is not None:
            self._event(writer, {"choices": [{"index": 0, "delta": {"content": tokenizer.decode(ids, skip_special_tokens=False)}}]})
        self._event(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
        self._event(writer, {"choices": [], "usage": {"prompt_tokens": tokens.shape[1], "completion_tokens": stream.made}})
        data = b"data: [DONE]\n\n"
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))

    @staticmethod
    def _event(writer: asyncio.StreamWriter, event: dict) -> None:
        data = b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def main() -> None:
    args = arguments()
    engine = Engine(args)
    async with await asyncio.start_server(Server(engine).connection, "127.0.0.1", args.port):
        await engine.run()


if __name__ == "__main__":
    asyncio.run(main())

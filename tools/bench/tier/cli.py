"""The command line of tier_reload."""

import argparse
import http.client
import json
import pathlib
import random
import signal
import statistics
import sys
import tempfile
import time

from comparison import engines, serving, setup
from loadgen.cli import at_least

DESCRIPTION = """\
Measures what a prompt costs that the disk tier has, beside computing it and beside finding it in memory: the time of a
whole request for one token. A server computes --prompts prompts of --tokens random tokens each and saves them, answers
each again from memory, and ends; the next server loads them from the disk. Medians of the prompts count. The
answers must be the same.
"""
EXAMPLES = """\
examples:
  tools/bench/tier_reload                              # 4,000 tokens, 16 bits
  tools/bench/tier_reload --quant-policy 8 --drop-caches  # from the disk itself, not the system's cache (as root)
"""
LEAST_ID, MOST_ID = 300, 4300  # plain tokens of any model with a larger vocabulary
SAVE_TIMEOUT_S = 60
LEAST_SHARE = 0.99  # of the tokens: with fewer from the disk the figure means nothing
BLOCK_TOKENS = 32  # of topologies/single.yaml, by default


class Wrong(Exception):
    """The tier did not do what is measured."""


def parser() -> argparse.ArgumentParser:
    count = at_least(int, 1)
    it = argparse.ArgumentParser(prog="tier_reload", description=DESCRIPTION, epilog=EXAMPLES,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    it.add_argument("--tokens", type=at_least(int, 512), default=4000,
                    help="of a prompt; short ones are not saved at once (default: %(default)s)")
    it.add_argument("--prompts", type=count, default=5, help="default: %(default)s")
    it.add_argument("--quant-policy", default="0", metavar="POLICY", help="default: %(default)s")
    it.add_argument("--threads", type=count, default=2)
    it.add_argument("--drop-caches", action="store_true", help="empty the system's cache of files between the servers")
    it.add_argument("--cache-dir", type=pathlib.Path, metavar="DIR", help="where the tier lies (default: a temporary folder)")
    it.add_argument("--headwater", type=pathlib.Path, default=setup.ROOT / "build/release/headwater", metavar="BINARY")
    it.add_argument("--model", type=pathlib.Path, default=setup.ROOT / "models/default.gguf", metavar="FILE")
    it.add_argument("--json", action="store_true", help="print every sample, in seconds")
    return it


def prompt(seed: int, tokens: int) -> list[int]:
    dice = random.Random(seed)
    return [dice.randrange(LEAST_ID, MOST_ID) for _ in range(tokens)]


def ask(port: int, tokens: list[int]) -> tuple[float, str]:
    """Seconds until the answer of one token, and the answer."""
    body = json.dumps({"prompt": tokens, "max_tokens": 1, "temperature": 0, "ignore_eos": True})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        began = time.perf_counter()
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        seconds = time.perf_counter() - began
    finally:
        connection.close()
    if response.status != 200:
        raise engines.Failed(f"the server said {response.status}: {answer}")
    return seconds, answer["choices"][0]["text"]


def wait_until(condition, what: str) -> None:
    end = time.monotonic() + SAVE_TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise Wrong(f"{what} within {SAVE_TIMEOUT_S} s")
        time.sleep(0.01)


class Reload:
    """The two servers, and what they took."""

    def __init__(self, engine: engines.Headwater, folder: pathlib.Path, args: argparse.Namespace):
        self._engine, self._folder, self._args = engine, folder, args
        self._prompts = [prompt(seed, args.tokens) for seed in range(args.prompts)]
        self.samples: dict[str, list[float]] = {"computed": [], "from memory": [], "from disk": []}

    def run(self) -> None:
        with self._server() as server:
            self._begin(server)
            answers = [self._ask(server, "computed", tokens) for tokens in self._prompts]
            whole = self._args.prompts * (self._args.tokens // BLOCK_TOKENS)
            wait_until(lambda: server.metric("headwater_cache_tier_saved_blocks_total") >= whole, "the tier has not saved all")
            self._expect(answers, server, "from memory")
        if self._args.drop_caches:
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("1\n", encoding="ascii")
        with self._server() as server:
            self._begin(server)
            self._expect(answers, server, "from disk")
            hits = server.metric("headwater_cache_tier_hit_tokens_total")
        if hits < LEAST_SHARE * self._args.prompts * (self._args.tokens - BLOCK_TOKENS):
            raise Wrong(f"of {self._args.prompts * self._args.tokens} tokens {hits:.0f} came from the disk")

    def _server(self) -> serving.Server:
        self._port = serving.free_port()
        return serving.Server(self._engine.server(
            self._port, "--threads", self._args.threads, "--quant-policy", self._args.quant_policy, "--cache-dir",
            self._folder, "--cache-size-limit", "4GiB"), self._port)

    def _begin(self, server: serving.Server) -> None:
        server.wait_until_ready()
        wait_until(lambda: server.metric('headwater_cache_tier_state{state="on"}') == 1, "the tier is not on")
        ask(self._port, prompt(10**6, 512))  # what a first request pays for

    def _ask(self, server: serving.Server, kind: str, tokens: list[int]) -> str:
        seconds, answer = ask(self._port, tokens)
        self.samples[kind].append(seconds)
        wait_until(lambda: server.metric('headwater_kv_blocks{state="active"}') == 0, "blocks are still in use")
        return answer

    def _expect(self, answers: list[str], server: serving.Server, kind: str) -> None:
        again = [self._ask(server, kind, tokens) for tokens in self._prompts]
        if again != answers:
            raise Wrong(f"answers {kind} are not those that were computed")


def table(samples: dict[str, list[float]]) -> str:
    computed = statistics.median(samples["computed"])
    lines = []
    for kind, seconds in samples.items():
        median = statistics.median(seconds)
        lines.append(f"{kind:12} {1000 * median:8.1f} ms   {median / computed:6.3f} of computing")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tier_reload: ended by SIGTERM"))  # so that the server is ended too
    for file, way_out in ((args.headwater, "build it, or give --headwater"),
                          (args.model, "run `headwater model pull smollm2-135m`, or give --model")):
        if not file.is_file():
            print(f"tier_reload: {file} is missing; {way_out}", file=sys.stderr)
            return 2
    engine = engines.Headwater(args.headwater.resolve(), args.model.resolve(), args.threads)
    try:
        with tempfile.TemporaryDirectory(prefix="tier_reload_", dir=args.cache_dir) as folder:
            measured = Reload(engine, pathlib.Path(folder), args)
            measured.run()
    except (engines.Failed, Wrong, OSError, ValueError) as failure:
        print(f"tier_reload: {failure}", file=sys.stderr)
        return 1
    print(json.dumps(measured.samples) if args.json else table(measured.samples))
    return 0

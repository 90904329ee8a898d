"""The command line of serve_load."""

import argparse
import asyncio
import gc
import ipaddress
import itertools
import json
import socket
import sys
import urllib.parse

from . import driver, report, workloads
from .http_client import Client

DESCRIPTION = """\
Loads a server that speaks the OpenAI API and reports what its clients see.

workloads (--workload):
  shared-prefix  every request: one text of --shared-words words, then --question-words of its own
  multi-turn     conversations of --turns turns; each request sends all that was said before
  random         --words words with nothing in common
  trace          a file in Mooncake's JSONL format: a request a line with timestamp (ms), input_length, output_length
                 and hash_ids; equal ids become equal text, so that prefixes are shared as they were in production

arrivals:
  --clients N    closed loop: N clients, each asks again when it has its answer (the default, 8)
  --rate R       open loop: R sessions a second with exponential gaps (Poisson); latency then includes queueing
  a trace comes at its own times, divided by --speedup, unless --clients is given

what is reported:
  time to first token    from sending until the first event with text
  time per output token  from there until the end, divided by the tokens after the first
  between events         gaps between events with text: shows stalls, which the mean hides
  goodput                requests a second that kept --slo-ttft-ms and --slo-tpot-ms
  cached                 share of prompt tokens that the server took from its cache, where it tells
"""
EXAMPLES = """\
examples:
  tools/bench/serve_load http://127.0.0.1:8080 --clients 48 --requests 144
  tools/bench/serve_load http://127.0.0.1:8080 --workload multi-turn --turns 6 --rate 2 --requests 120
  tools/bench/serve_load http://127.0.0.1:8080 --workload trace --trace FILE --speedup 4 --length-scale 0.1 --json -
"""


def at_least(kind, least):
    def parse(text: str):
        value = kind(text)
        if not value >= least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return value
    parse.__name__ = kind.__name__  # argparse's messages name it
    return parse


def more_than_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def parser() -> argparse.ArgumentParser:
    count = at_least(int, 1)
    it = argparse.ArgumentParser(prog="serve_load", description=DESCRIPTION, epilog=EXAMPLES,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    it.add_argument("url", help="the server, e.g. http://127.0.0.1:8080")
    ask = it.add_argument_group("what is asked")
    ask.add_argument("--workload", choices=("shared-prefix", "multi-turn", "random", "trace"), default="shared-prefix")
    ask.add_argument("--endpoint", choices=("chat", "completions"), default="chat")
    ask.add_argument("--model", help="name to ask for; default: the first of /v1/models")
    ask.add_argument("--shared-words", type=at_least(int, 0), default=800)
    ask.add_argument("--question-words", type=count, default=16)
    ask.add_argument("--words", type=count, default=512, help="of a prompt of `random`, of a conversation's first turn")
    ask.add_argument("--turns", type=count, default=4)
    ask.add_argument("--max-tokens", type=count, default=64, help="length of every answer; a trace has its own")
    ask.add_argument("--respect-eos", action="store_true", help="let the model end before --max-tokens")
    ask.add_argument("--no-usage", action="store_true", help="for servers that refuse stream_options")
    ask.add_argument("--trace", metavar="FILE", help="JSONL file, - for standard input")
    ask.add_argument("--speedup", type=more_than_zero, default=1.0, help="of the trace's times")
    ask.add_argument("--length-scale", type=more_than_zero, default=1.0, help="of the trace's lengths and blocks")
    ask.add_argument("--max-input", type=count, default=6000, help="longest prompt of a trace, in words; longer are cut")
    ask.add_argument("--seed", type=int, default=0, help="equal seeds ask the same at the same times")
    load = it.add_argument_group("how it arrives")
    load.add_argument("--clients", type=count, help="closed loop with so many")
    load.add_argument("--rate", type=more_than_zero, help="open loop with so many sessions a second")
    load.add_argument("--requests", type=count, default=64, help="to send in all, after warm-up")
    load.add_argument("--warmup", type=at_least(int, 0), default=4, help="requests before, that do not count")
    load.add_argument("--max-in-flight", type=count, default=512, help="open loop: further sessions are skipped")
    load.add_argument("--timeout", type=more_than_zero, default=120.0, help="seconds for one request")
    load.add_argument("--duration", type=more_than_zero, default=600.0, help="seconds at most for all")
    load.add_argument("--allow-remote", action="store_true", help="load a server that is not on this machine")
    out = it.add_argument_group("what is reported")
    out.add_argument("--slo-ttft-ms", type=more_than_zero)
    out.add_argument("--slo-tpot-ms", type=more_than_zero)
    out.add_argument("--json", metavar="FILE", help="write the figures there as JSON; - prints them instead of the table")
    return it


class Refused(Exception):
    """Something that the caller has to change."""


def address(url: str, allow_remote: bool) -> tuple[str, int]:
    """Host and port of a URL. Only loopback addresses, unless remote ones are allowed."""
    parts = urllib.parse.urlsplit(url if "//" in url else "http://" + url)
    if parts.scheme != "http" or not parts.hostname:
        raise Refused(f"{url}: not an http:// URL")
    if parts.path not in ("", "/", "/v1", "/v1/"):
        raise Refused(f"{url}: give the server's address alone; --endpoint chooses the path")
    port = parts.port or 80
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise Refused(f"{url}: {error.strerror}") from error
    remote = [text for text in sorted(found) if not ipaddress.ip_address(text.split("%")[0]).is_loopback]
    if remote and not allow_remote:
        raise Refused(f"{url} is {remote[0]}, which is not this machine; load on others needs --allow-remote")
    return parts.hostname, port


def make_sessions(args: argparse.Namespace):
    if args.workload == "trace":
        return trace_sessions(args)
    if args.workload == "multi-turn":
        return workloads.multi_turn(args.seed, args.turns, args.words, args.question_words, args.max_tokens)
    if args.workload == "random":
        return workloads.random_texts(args.seed, args.words, args.max_tokens)
    return workloads.shared_prefix(args.seed, args.shared_words, args.question_words, args.max_tokens)


def trace_sessions(args: argparse.Namespace):
    if not args.trace:
        raise Refused("--workload trace needs --trace FILE")
    try:
        lines = sys.stdin if args.trace == "-" else open(args.trace, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{args.trace}: {error.strerror}") from error
    entries = itertools.islice(workloads.read_trace(lines, args.trace), args.requests)
    return workloads.trace(list(entries), args.seed, args.speedup, args.length_scale, args.max_input)


async def first_model(client: Client, url: str) -> str:
    answer = await client.get("/v1/models")
    try:
        if answer.error:
            raise Refused(f"{url}: /v1/models: {answer.error}")
        return json.loads(answer.body)["data"][0]["id"]
    except (ValueError, LookupError, TypeError) as error:
        raise Refused(f"{url}: /v1/models names no model; give --model") from error


async def run(args: argparse.Namespace) -> tuple[driver.Run, str]:
    host, port = address(args.url, args.allow_remote)
    sessions = make_sessions(args)
    client = Client(host, port, args.timeout)
    try:
        model = args.model or await first_model(client, args.url)
        api = driver.Api(model, args.endpoint == "chat", not args.respect_eos, not args.no_usage)
        if args.workload != "trace":  # a trace is too short to give some away
            warm = itertools.islice(sessions, args.warmup)
            await driver.Driver(client, api, args.warmup, args.duration).closed(warm, args.clients or 8)
        # Collections would show up as latency.
        gc.collect()
        gc.freeze()
        gc.disable()
        work = driver.Driver(client, api, args.requests, args.duration)
        if args.rate is not None or (args.workload == "trace" and args.clients is None):
            return await work.open(sessions, args.rate, args.seed, args.max_in_flight), model
        return await work.closed(sessions, args.clients or 8), model
    finally:
        gc.enable()
        client.close()


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        if args.rate is not None and args.clients is not None:
            raise Refused("--clients is a closed loop and --rate an open one: give one of them")
        done, model = asyncio.run(run(args))
    except (Refused, workloads.BadTrace) as error:
        print(f"serve_load: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    slo = report.Slo(args.slo_ttft_ms, args.slo_tpot_ms)
    summary = report.summarize(done.answers, done.seconds, slo)
    summary |= {"skipped": done.skipped, "cut_off": done.cut_off}
    document = {"model": model, "settings": vars(args), "summary": summary}
    if args.json == "-":
        print(json.dumps(document, indent=2))
    else:
        print(report.table(summary, slo))
        if done.skipped:
            print(f"skipped: {done.skipped} arrivals found {args.max_in_flight} requests under way (--max-in-flight)")
        if done.cut_off:
            print(f"cut off after --duration {args.duration:g} s")
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=2)
    return 0 if done.answers and not summary["errors"] and not done.cut_off else 1

"""The command line of kv_budget."""

import argparse
import dataclasses
import datetime
import json
import math
import pathlib
import re
import signal
import sys

from comparison import cli as compare
from comparison import engines, machine, serving, setup
from loadgen.cli import at_least, more_than_zero

from . import report

DESCRIPTION = """\
Measures what a smaller KV cache format is worth where memory is the limit: the server gets a cache that holds
--sequences sequences of --tokens tokens in 16 bits, and more clients than that ask it. A format of fewer bits holds more
sequences in the same bytes, so that more run at once, fewer are set back (preempted), and clients wait less.

Every request has a prompt of its own, random words, and an answer of --answer tokens; both together are --tokens long.
Each policy has a server of its own in each round, and all are measured in turns (0, 8, 4, 0, 8, 4, ...), since machines
drift from hour to hour; the medians of the rounds count. A policy that cannot be served is named with the reason.

  tokens held   tokens that the cache has room for, as the server's metrics say
  output tok/s  of all clients together
  TTFT p50      median time from sending a request to its first token, with the wait for a place
  preemptions   running requests that were set back for want of blocks
"""
EXAMPLES = """\
examples:
  tools/bench/kv_budget                       # 0, 8 and 4 in three rounds: about half an hour
  tools/bench/kv_budget --policies 0 --quick  # one short round of one policy: about a minute
"""
NUMBER = r"\d+(?:,\d+)*"
BLOCK_TOKENS = 32  # of topologies/single.yaml, by default
QUICK = {"rounds": 1, "answer": 32, "requests_per_client": 1}
WARMUP = 4  # requests


class Refused(Exception):
    """Something that the caller has to change."""


def parser() -> argparse.ArgumentParser:
    count = at_least(int, 1)
    it = argparse.ArgumentParser(prog="kv_budget", description=DESCRIPTION, epilog=EXAMPLES,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    it.add_argument("--policies", default="0,8,4", metavar="POLICY,...", help="default: %(default)s; 0 is 16 bits")
    it.add_argument("--rounds", type=count, help="measurements of each (default: 3)")
    it.add_argument("--quick", action="store_true", help="a look: one round, a request a client, answers of 32 tokens")
    load = it.add_argument_group("what is asked")
    load.add_argument("--clients", type=count, default=48, help="that ask at once (default: %(default)s)")
    load.add_argument("--requests-per-client", type=count, help="default: 2")
    load.add_argument("--tokens", type=at_least(int, 64), default=2000, help="of prompt and answer (default: %(default)s)")
    load.add_argument("--answer", type=count, help="tokens of an answer (default: 512); the fewer, the more computing prompts decides")
    load.add_argument("--sequences", type=count, default=12, help="that the cache holds in 16 bits (default: %(default)s)")
    load.add_argument("--duration", type=more_than_zero, default=900.0,
                      help="seconds at most for one measurement (default: %(default)g)")
    what = it.add_argument_group("what is measured")
    what.add_argument("--threads", type=count, default=2)
    what.add_argument("--headwater", type=pathlib.Path, default=setup.ROOT / "build/release/headwater", metavar="BINARY")
    what.add_argument("--model", type=pathlib.Path, default=setup.ROOT / "models/default.gguf", metavar="FILE")
    what.add_argument("--out", type=pathlib.Path, metavar="FILE",
                      help="default: docs/benchmarks/DATE-kv-budget.json; with --quick: nowhere")
    return it


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured, from the command line."""

    policies: list[str]
    rounds: int
    clients: int
    requests: int
    words: int  # of a prompt; nearly as many tokens
    answer: int
    tokens: int
    sequences: int
    duration: float

    def arguments(self, turn: int) -> list[str]:
        """Of serve_load. Every round has its own texts, the same for each policy."""
        return ["--workload", "random", "--endpoint", "completions", "--words", str(self.words),
                "--max-tokens", str(self.answer), "--clients", str(self.clients), "--requests", str(self.requests),
                "--warmup", str(WARMUP), "--seed", str(turn), "--timeout", str(self.duration),
                "--duration", str(self.duration)]

    def budget(self, token_bytes: int) -> int:
        """KiB of the cache. A sequence takes whole blocks."""
        blocks = self.sequences * -(-self.tokens // BLOCK_TOKENS)
        return -(-blocks * BLOCK_TOKENS * token_bytes // 1024)


def plan(args: argparse.Namespace) -> Plan:
    policies = [policy.strip() for policy in args.policies.split(",")]
    if not all(policies) or len(set(policies)) != len(policies):
        raise Refused(f"--policies {args.policies}: names with commas between them, each once")
    usual = QUICK if args.quick else {"rounds": 3, "answer": 512, "requests_per_client": 2}
    rounds, answer, each = (getattr(args, name) or usual[name] for name in ("rounds", "answer", "requests_per_client"))
    if answer >= args.tokens:
        raise Refused(f"--answer {answer} leaves no prompt: --tokens {args.tokens} is for both")
    return Plan(policies, rounds, args.clients, each * args.clients, args.tokens - answer, answer, args.tokens,
                args.sequences, args.duration)


def token_bytes(info: str) -> int:
    """Keys and values of one token in 16 bits, from what `headwater model info` says."""
    layers = re.search(rf"^layers\s+({NUMBER})$", info, re.M)
    heads = re.search(rf"^heads\s+({NUMBER})(?:, ({NUMBER}) for keys and values)?, ({NUMBER}) wide$", info, re.M)
    if not layers or not heads:
        raise Refused("headwater model info does not say how many layers and heads the model has")
    numbers = [int(text.replace(",", "")) for text in (layers[1], heads[2] or heads[1], heads[3])]
    return 2 * 2 * math.prod(numbers)


def measure(engine: engines.Headwater, policy: str, budget_kib: int, plan: Plan, threads: int,
            turn: int) -> tuple[report.Sample, dict]:
    """Starts a server, loads it and ends it."""
    port = serving.free_port()
    with serving.Server(engine.server(port, "--quant-policy", policy, "--cache-size-limit", f"{budget_kib}KiB",
                                      "--max-batch-size", plan.clients, "--threads", threads), port) as server:
        server.wait_until_ready()
        held = server.metric("headwater_kv_blocks_capacity") * server.metric("headwater_kv_block_tokens")
        before = server.metric("headwater_num_preemptions_total")
        summary = serving.serve_load(port, plan.arguments(turn))
        preemptions = server.metric("headwater_num_preemptions_total") - before
    return report.Sample(int(held), summary["output_tokens_per_second"], summary["ttft_ms"]["p50"], int(preemptions)), summary


class Comparison:
    """Measures policies in turns and keeps every sample."""

    def __init__(self, engine: engines.Headwater, budget: int, plan: Plan, threads: int):
        self._engine, self._budget, self._plan, self._threads = engine, budget, plan, threads
        self.samples: report.Samples = {}
        self.summaries: list[dict] = []
        self.notes: dict[str, str] = {}

    def run(self) -> None:
        for turn in range(self._plan.rounds):
            for policy in self._plan.policies:
                if policy not in self.notes:
                    self._measure(policy, turn)

    def _measure(self, policy: str, turn: int) -> None:
        try:
            sample, summary = measure(self._engine, policy, self._budget, self._plan, self._threads, turn)
        except (engines.Failed, OSError, ValueError) as failure:
            self.notes[policy] = str(failure)
            print(f"kv_budget: quant policy {policy}: {failure}", file=sys.stderr)
            return
        self.samples.setdefault(policy, []).append(sample)
        self.summaries.append({"quant_policy": policy, "round": turn + 1, "load": summary})
        print(f"kv_budget: round {turn + 1}, quant policy {policy}: {sample.output_tok_s:.0f} tok/s, "
              f"TTFT {sample.ttft_p50_ms:.0f} ms, {sample.preemptions} preemptions", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("kv_budget: ended by SIGTERM"))  # so that the server is ended too
    try:
        for file, way_out in ((args.headwater, "build it, or give --headwater"),
                              (args.model, "run `headwater model pull smollm2-135m`, or give --model")):
            if not file.is_file():
                raise Refused(f"{file} is missing; {way_out}")
        wanted = plan(args)
        binary, model = args.headwater.resolve(), args.model.resolve()
        budget = wanted.budget(token_bytes(engines.Command([binary, "model", "info", model]).output()))
    except (Refused, engines.Failed) as error:
        print(f"kv_budget: {error}", file=sys.stderr)
        return 2
    about = {"machine": machine.describe(), "versions": compare.versions(binary, []),
             "model": {"file": model.name, "bytes": model.stat().st_size},
             "budget_bytes": budget * 1024, "threads": args.threads, "plan": dataclasses.asdict(wanted)}
    comparison = Comparison(engines.Headwater(binary, model, args.threads), budget, wanted, args.threads)
    comparison.run()
    made = report.rows(wanted.policies, comparison.samples)
    print(f"{wanted.clients} clients, sequences of {wanted.tokens} tokens, a cache of {budget:,} KiB: "
          f"{wanted.sequences} of them in 16 bits\n")
    print(report.table(made, comparison.notes))
    out = args.out or (None if args.quick else setup.ROOT / f"docs/benchmarks/{datetime.date.today():%Y-%m-%d}-kv-budget.json")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        about |= {"notes": comparison.notes, "loads": comparison.summaries}
        out.write_text(json.dumps(report.document(made, comparison.samples, about), indent=1) + "\n", encoding="utf-8")
        print(f"\nall samples: {out}")
    return 0 if all(row.verdict in ("yes", "–") for row in made) else 1

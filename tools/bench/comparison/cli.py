"""The command line of compare."""

import argparse
import datetime
import json
import pathlib
import signal
import subprocess
import sys

from . import engines, machine, report, serving, setup, works

DESCRIPTION = """\
Measures Headwater and other engines with the same work on this machine, and says whether Headwater reaches its targets.

Everybody gets the same model file (vLLM: its weights dequantised to bf16), the same prompts, greedy sampling, the same
number of threads and a warm-up, and is measured in turns (A, B, C, A, B, C, ...), since machines drift from hour to hour.
A peer that cannot be set up is named with the reason. The peers live in .bench-venv/ (about 10 GB), made at the first run:
that takes some minutes, and needs pip to work; llama.cpp needs cmake, ninja and a C++ compiler.

Uneven, and said in the JSON: the steps of OpenVINO and vLLM include sampling, those of llama.cpp and `headwater bench` do not;
OpenVINO has no server of its own, so a minimal endpoint of ours stands around its pipeline. "resident" is the process tree's
memory at ready, less the size of the model file and less what is resident of the KV pool.
"""


def parser() -> argparse.ArgumentParser:
    it = argparse.ArgumentParser(prog="compare", description=DESCRIPTION,
                                 epilog=f"works: {', '.join(work.name for work in works.WORKS)}",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    it.add_argument("--peers", default=",".join(setup.PEERS), metavar="NAME,...",
                    help="default: %(default)s; empty: Headwater alone")
    it.add_argument("--only", metavar="WORK,...", help='works or beginnings of their names: "decode,served 8"')
    it.add_argument("--rounds", type=int, default=3, help="measurements of each; the median counts (default: %(default)s)")
    it.add_argument("--threads", type=int, default=2)
    it.add_argument("--headwater", type=pathlib.Path, default=setup.ROOT / "build/release/headwater", metavar="BINARY")
    it.add_argument("--model", type=pathlib.Path, default=setup.ROOT / "models/default.gguf", metavar="FILE")
    it.add_argument("--out", type=pathlib.Path, metavar="FILE", help="default: docs/benchmarks/DATE.json")
    it.add_argument("--skip-setup", action="store_true", help="leave out the peers that are not set up yet")
    return it


class Comparison:
    """Measures works in turns and keeps every sample."""

    def __init__(self, rounds: int, model: pathlib.Path):
        self._rounds, self._model = rounds, model
        self.samples: report.Samples = {}
        self.details: list[dict] = []
        self.notes: dict[str, str] = {}

    def model_alone(self, work: works.Work, everyone: list[engines.Engine]) -> None:
        for turn in range(self._rounds):
            for engine in everyone:
                self._try(engine, work.name, lambda: {work.name: engine.measure(work)}, turn)

    def servers(self, wanted: list[works.Work], everyone: list[engines.Engine]) -> None:
        for turn in range(self._rounds):
            for engine in everyone:
                self._try(engine, "server", lambda: self._server(engine, wanted, turn), turn)

    def _server(self, engine: engines.Engine, wanted: list[works.Work], turn: int) -> dict[str, float]:
        numbers, details = serving.measure(engine, wanted, self._model)
        self.details.append({"engine": engine.name, "round": turn + 1} | details)
        return numbers

    def _try(self, engine: engines.Engine, what: str, measure, turn: int) -> None:
        failed = f"{engine.name}: {what}"
        if failed in self.notes:
            return
        try:
            numbers = measure()
        except (engines.Failed, OSError, ValueError) as failure:
            self.notes[failed] = str(failure)
            print(f"compare: {failed}: {failure}", file=sys.stderr)
            return
        for name, value in numbers.items():
            self.samples.setdefault(name, {}).setdefault(engine.name, []).append(value)
            print(f"compare: round {turn + 1}, {name}, {engine.name}: {report.number(value)}", file=sys.stderr)


def versions(binary: pathlib.Path, peers: list[str]) -> dict[str, str]:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=setup.ROOT, capture_output=True, text=True, check=False)
    ours = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {"headwater": f"{ours} {commit.stdout.strip()}".strip()} | {peer: setup.PEERS[peer][1] for peer in peers}


def check(args: argparse.Namespace) -> list[str]:
    """The peers to measure with. Ends with a message where an argument is wrong."""
    peers = [name.strip() for name in args.peers.split(",") if name.strip()]
    for name in peers:
        if name not in setup.PEERS:
            raise SystemExit(f'compare: unknown peer "{name}" (known: {", ".join(setup.PEERS)})')
    if not args.headwater.is_file():
        raise SystemExit(f"compare: {args.headwater} is missing; build it (tools/serve does), or give --headwater")
    if not args.model.is_file():
        raise SystemExit(f"compare: {args.model} is missing; run `headwater model pull smollm2-135m`, or give --model")
    if args.rounds < 1 or args.threads < 1:
        raise SystemExit("compare: --rounds and --threads begin at 1")
    return peers


def main() -> int:
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("compare: ended by SIGTERM"))  # so that what runs is ended too
    peers = check(args)
    try:
        wanted = works.named(args.only)
    except ValueError as error:
        raise SystemExit(f"compare: {error}") from error
    model = args.model.resolve()
    comparison = Comparison(args.rounds, model)
    comparison.notes.update(setup.prepare(peers, model, args.skip_setup))
    about = machine.describe()
    if about["load_before"] > 0.5:
        print(f"compare: the machine is busy (load {about['load_before']:.1f}): figures will be low and uneven", file=sys.stderr)
    everyone = engines.peers([peer for peer in peers if peer not in comparison.notes], model, args.threads)
    everyone.append(engines.Headwater(args.headwater.resolve(), model, args.threads))
    try:
        for work in (work for work in wanted if work.phase):
            comparison.model_alone(work, everyone)
    finally:
        for engine in everyone:
            engine.close()
    if at_server := [work for work in wanted if not work.phase]:
        comparison.servers(at_server, [engine for engine in everyone if engine.serves])
    made = report.rows(wanted, comparison.samples)
    print(report.table(made, [engine.name for engine in everyone], comparison.notes))
    about = {"machine": about, "versions": versions(args.headwater, peers),
             "model": {"file": model.name, "bytes": model.stat().st_size}, "rounds": args.rounds,
             "settings": {engine.name: engine.settings for engine in everyone},
             "notes": comparison.notes, "uneven": DESCRIPTION.split("\n\n")[-1].replace("\n", " ").strip(),
             "servers": comparison.details}
    out = args.out or setup.ROOT / f"docs/benchmarks/{datetime.date.today():%Y-%m-%d}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report.document(made, comparison.samples, about), indent=1) + "\n", encoding="utf-8")
    print(f"\nall samples: {out}")
    return 0 if all(row.verdict == "yes" for row in made) else 1

"""Measures vLLM's engine in a process of its own: prints one JSON object last. Runs in the peer's virtual environment.

The engine runs in this process and is stepped by hand, so that neither its queue between processes nor prefill counts as
decoding. Every step includes the sampling of one greedy token for each sequence.
"""

import argparse
import json
import os
import statistics
import time

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"

import vllm  # noqa: E402  (reads the environment)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder made by convert_gguf.py")
    parser.add_argument("--phase", choices=("prefill", "decode"), required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--steps", type=int, default=32, help="decode steps of one sample")
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


class Bench:
    def __init__(self, args: argparse.Namespace):
        self._args = args
        self._engine = vllm.LLM(
            model=args.model, dtype="bfloat16", max_model_len=8192, max_num_seqs=64,
            max_num_batched_tokens=8192, enable_prefix_caching=False, disable_log_stats=True).llm_engine
        self._next_id = 0

    def _add(self, new_tokens: int) -> None:
        params = vllm.SamplingParams(max_tokens=new_tokens, min_tokens=new_tokens, ignore_eos=True, temperature=0,
                                     detokenize=False)
        for sequence in range(self._args.batch):
            # The made-up tokens of `headwater bench`.
            ids = [(sequence * 7919 + at * 104729) % 49152 for at in range(self._args.context)]
            self._engine.add_request(str(self._next_id), {"prompt_token_ids": ids}, params)
            self._next_id += 1

    def _drain(self) -> None:
        while self._engine.has_unfinished_requests():
            self._engine.step()

    def prefill(self) -> float:
        began = time.perf_counter()
        self._add(1)
        self._drain()
        return self._args.batch * self._args.context / (time.perf_counter() - began)

    def decode(self) -> float:
        self._add(self._args.steps + 8)
        made: dict[str, int] = {}
        while len(made) < self._args.batch:  # until every sequence has its first token
            self._count(made)
        before = sum(made.values())
        began = time.perf_counter()
        for _ in range(self._args.steps):
            self._count(made)
        seconds = time.perf_counter() - began
        tokens = sum(made.values()) - before
        self._drain()
        return tokens / seconds

    def _count(self, made: dict[str, int]) -> None:
        for output in self._engine.step():
            made[output.request_id] = len(output.outputs[0].token_ids)


def main() -> None:
    args = arguments()
    began = time.perf_counter()
    bench = Bench(args)
    load_s = time.perf_counter() - began
    measure = bench.prefill if args.phase == "prefill" else bench.decode
    for _ in range(2):  # warms memory, and makes the library's kernels
        measure()
    samples = [measure() for _ in range(args.repetitions)]
    print("\n" + json.dumps({"tokens_per_second": statistics.median(samples), "samples": samples, "load_s": load_s,
                             "version": vllm.__version__}))


if __name__ == "__main__":
    main()

"""Measures vLLM's engine in a process of its own. Runs in the peer's virtual environment with the model's folder.

Reads an order a line, {"phase": "decode", "batch": 8, "context": 128, "steps": 32}, and prints a JSON object for each.

The engine runs in this process and is stepped by hand, so that neither its queue between processes nor prefill counts as
decoding. Every step includes the sampling of one greedy token for each sequence.
"""

import json
import os
import statistics
import sys
import time

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"

import vllm  # noqa: E402  (reads the environment)


class Bench:
    def __init__(self, model: str):
        self._engine = vllm.LLM(
            model=model, dtype="bfloat16", max_model_len=8192, max_num_seqs=64,
            max_num_batched_tokens=8192, enable_prefix_caching=False, disable_log_stats=True).llm_engine
        self._next_id = 0

    def measure(self, phase: str, batch: int, context: int, steps: int) -> float:
        return self._prefill(batch, context) if phase == "prefill" else self._decode(batch, context, steps)

    def _add(self, batch: int, context: int, new_tokens: int) -> None:
        params = vllm.SamplingParams(max_tokens=new_tokens, min_tokens=new_tokens, ignore_eos=True, temperature=0,
                                     detokenize=False)
        for sequence in range(batch):
            # The made-up tokens of `headwater bench`.
            ids = [(sequence * 7919 + at * 104729) % 49152 for at in range(context)]
            self._engine.add_request(str(self._next_id), {"prompt_token_ids": ids}, params)
            self._next_id += 1

    def _drain(self) -> None:
        while self._engine.has_unfinished_requests():
            self._engine.step()

    def _prefill(self, batch: int, context: int) -> float:
        began = time.perf_counter()
        self._add(batch, context, 1)
        self._drain()
        return batch * context / (time.perf_counter() - began)

    def _decode(self, batch: int, context: int, steps: int) -> float:
        self._add(batch, context, steps + 8)
        made: dict[str, int] = {}
        while len(made) < batch:  # until every sequence has its first token
            self._count(made)
        before = sum(made.values())
        began = time.perf_counter()
        for _ in range(steps):
            self._count(made)
        seconds = time.perf_counter() - began
        tokens = sum(made.values()) - before
        self._drain()
        return tokens / seconds

    def _count(self, made: dict[str, int]) -> None:
        for output in self._engine.step():
            made[output.request_id] = len(output.outputs[0].token_ids)


def main() -> None:
    bench = Bench(sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        for _ in range(2):  # warms memory, and makes the library's kernels
            bench.measure(**order)
        samples = [bench.measure(**order) for _ in range(3)]
        print("\n" + json.dumps({"tokens_per_second": statistics.median(samples), "samples": samples}), flush=True)


if __name__ == "__main__":
    main()

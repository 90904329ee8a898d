"""Measures OpenVINO GenAI in a process of its own: prints one JSON object. Runs in the peer's virtual environment.

Time is taken around single steps of the continuous-batching pipeline, so that reading the model, tokenizing and
prefill never count as decoding. Every step includes the sampling of one greedy token for each sequence.
"""

import argparse
import json
import statistics
import time

import numpy
import openvino
import openvino_genai


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--phase", choices=("prefill", "decode"), required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=32, help="decode steps of one sample")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--kv", default="f16", help="KV_CACHE_PRECISION: f16, bf16, u8")
    parser.add_argument("--chunk", type=int, default=4096, help="max_num_batched_tokens")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="further plugin options")
    return parser.parse_args()


def make_pipeline(args: argparse.Namespace) -> openvino_genai.ContinuousBatchingPipeline:
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.cache_size = 2  # GiB
    scheduler.max_num_seqs = max(args.batch, 1)
    scheduler.max_num_batched_tokens = args.chunk
    scheduler.enable_prefix_caching = False
    options = {"INFERENCE_NUM_THREADS": args.threads, "KV_CACHE_PRECISION": args.kv}
    options.update(option.split("=", 1) for option in args.option)
    return openvino_genai.ContinuousBatchingPipeline(args.model, scheduler, "CPU", options)


class Bench:
    def __init__(self, args: argparse.Namespace):
        self._args = args
        self._pipeline = make_pipeline(args)
        self._next_id = 0

    def _add(self, new_tokens: int) -> list:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = new_tokens
        config.ignore_eos = True
        config.do_sample = False
        handles = []
        for sequence in range(self._args.batch):
            # The made-up tokens of `headwater bench`.
            ids = (sequence * 7919 + numpy.arange(self._args.context) * 104729) % 49152
            tensor = openvino.Tensor(ids.astype(numpy.int64)[None, :])
            handles.append(self._pipeline.add_request(self._next_id, tensor, config))
            self._next_id += 1
        return handles

    def _drain(self) -> None:
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()

    def prefill(self) -> float:
        handles = self._add(1)
        began = time.perf_counter()
        self._drain()
        seconds = time.perf_counter() - began
        del handles
        return self._args.batch * self._args.context / seconds

    def decode(self) -> float:
        handles = self._add(self._args.steps + 4)
        pending = list(handles)
        while pending:  # until every sequence has its first token
            self._pipeline.step()
            pending = [handle for handle in pending if not handle.can_read()]
        began = time.perf_counter()
        for _ in range(self._args.steps):
            self._pipeline.step()
        seconds = time.perf_counter() - began
        for handle in handles:
            handle.drop() if hasattr(handle, "drop") else handle.stop()
        self._drain()
        return self._args.batch * self._args.steps / seconds


def main() -> None:
    args = arguments()
    began = time.perf_counter()
    bench = Bench(args)
    load_s = time.perf_counter() - began
    measure = bench.prefill if args.phase == "prefill" else bench.decode
    measure()  # warms memory, and makes the library's kernels
    samples = [measure() for _ in range(args.repetitions)]
    print(json.dumps({"tokens_per_second": statistics.median(samples), "samples": samples, "load_s": load_s,
                      "version": openvino_genai.__version__}))


if __name__ == "__main__":
    main()

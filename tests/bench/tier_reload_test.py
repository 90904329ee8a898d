"""The cost of a reload: its prompts, its table, and one run against the real server."""

import contextlib
import io
import json
import unittest
import unittest.mock

import server
from tier import cli


class PromptTest(unittest.TestCase):
    def test_each_prompt_is_its_own_and_always_the_same(self):
        first, second = cli.prompt(1, 600), cli.prompt(2, 600)
        self.assertEqual(len(first), 600)
        self.assertEqual(first, cli.prompt(1, 600))
        self.assertNotEqual(first[:32], second[:32])


class TableTest(unittest.TestCase):
    def test_holds_medians_against_computing(self):
        lines = cli.table({"computed": [1.0, 2.0, 9.0], "from memory": [0.02], "from disk": [0.5, 0.4]}).splitlines()
        self.assertEqual(lines[0].split(), ["computed", "2000.0", "ms", "1.000", "of", "computing"])
        self.assertEqual(lines[1].split()[2:], ["20.0", "ms", "0.010", "of", "computing"])
        self.assertEqual(lines[2].split()[2:], ["450.0", "ms", "0.225", "of", "computing"])


class RealServerTest(unittest.TestCase):
    def test_loads_after_a_restart_what_was_computed(self):
        try:
            binary, model = server.binary(), server.model()
        except server.Missing as missing:
            raise unittest.SkipTest(str(missing)) from missing
        # Where others are busy a load may come too late, and is rightly given up.
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as complaints, \
                unittest.mock.patch.object(cli, "LEAST_SHARE", 0):
            status = cli.main(["--tokens", "512", "--prompts", "1", "--json", "--headwater", str(binary), "--model",
                               str(model)])
        self.assertEqual(status, 0, complaints.getvalue())
        samples = json.loads(out.getvalue())
        self.assertEqual({kind: len(seconds) for kind, seconds in samples.items()},
                         {"computed": 1, "from memory": 1, "from disk": 1})

    def test_says_what_is_missing(self):
        with contextlib.redirect_stderr(io.StringIO()) as complaints:
            self.assertEqual(cli.main(["--headwater", "/nothing"]), 2)
        self.assertIn("/nothing is missing", complaints.getvalue())

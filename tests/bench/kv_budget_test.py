"""The comparison under a KV budget: its plan, its arithmetic, its table, and one run against the real server."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import server
from budget import cli, report

INFO = "parameters      134,515,008\nlayers          30\nembedding       576\nheads           9, 3 for keys and values, 64 wide\n"


def plan(*arguments: str) -> cli.Plan:
    return cli.plan(cli.parser().parse_args([*arguments]))


def sample(rate: float, held=1000, ttft=100.0, preemptions=2) -> report.Sample:
    return report.Sample(held, rate, ttft, preemptions)


class PlanTest(unittest.TestCase):
    def test_prompt_and_answer_are_as_long_as_a_sequence(self):
        usual = plan()
        self.assertEqual((usual.policies, usual.rounds, usual.clients, usual.requests), (["0", "8", "4"], 3, 48, 96))
        self.assertEqual(usual.words + usual.answer, 2000)

    def test_quick_is_shorter_and_what_is_given_still_counts(self):
        quick = plan("--quick", "--answer", "100", "--policies", "0, k8v4")
        self.assertEqual((quick.rounds, quick.requests, quick.answer, quick.words), (1, 48, 100, 1900))
        self.assertEqual(quick.policies, ["0", "k8v4"])

    def test_the_budget_holds_the_sequences_in_whole_blocks(self):
        self.assertEqual(plan().budget(23040) * 1024, 12 * 63 * 32 * 23040)
        self.assertEqual(plan("--tokens", "1024", "--sequences", "1").budget(1), 1)

    def test_each_round_has_its_own_texts(self):
        first, second = plan().arguments(0), plan().arguments(1)
        self.assertNotEqual(first, second)
        self.assertEqual([(a, b) for a, b in zip(first, second) if a != b], [("0", "1")])

    def test_refuses_what_cannot_be_measured(self):
        for wrong in (["--policies", "0,0"], ["--policies", "0,,8"], ["--answer", "2000"]):
            with self.assertRaises(cli.Refused):
                plan(*wrong)

    def test_reads_a_tokens_bytes_from_the_models_description(self):
        self.assertEqual(cli.token_bytes(INFO), 23040)
        self.assertEqual(cli.token_bytes("layers  2\nheads  1,024, 64 wide\n"), 4 * 2 * 1024 * 64)
        with self.assertRaises(cli.Refused):
            cli.token_bytes("layers          not given\nheads           9\n")


class ReportTest(unittest.TestCase):
    def test_medians_are_held_against_those_of_16_bits(self):
        samples = {"0": [sample(100), sample(300), sample(110)], "8": [sample(143, held=1900, ttft=50)]}
        sixteen, eight, four = report.rows(["0", "8", "4"], samples)
        self.assertEqual((sixteen.medians["output_tok_s"], sixteen.verdict), (110, "–"))
        self.assertEqual((eight.ratios["tokens_held"], eight.ratios["ttft_p50_ms"], eight.verdict), (1.9, 0.5, "yes"))
        self.assertAlmostEqual(eight.ratios["output_tok_s"], 1.3)
        self.assertEqual(four.verdict, "not measured")

    def test_each_format_has_its_own_bound(self):
        samples = {"0": [sample(100)], "8": [sample(129)], "4": [sample(139)], "k8v4": [sample(90)]}
        self.assertEqual([row.verdict for row in report.rows(["8", "4", "k8v4"], samples)], ["no", "no", "–"])
        self.assertEqual(report.rows(["8"], {"8": [sample(1)]})[0].verdict, "nothing to compare with")

    def test_no_preemptions_give_no_ratio(self):
        samples = {"0": [sample(100, preemptions=0)], "8": [sample(150, preemptions=3)]}
        self.assertNotIn("preemptions", report.rows(["8"], samples)[0].ratios)

    def test_the_table_has_a_row_a_policy_and_names_what_is_missing(self):
        samples = {"0": [sample(250.4, held=24192, ttft=1234.5)], "8": [sample(400.64, held=45000, ttft=617.25)]}
        lines = report.table(report.rows(["0", "8", "4"], samples), {"4": "not available"}).splitlines()
        self.assertEqual(lines[2], "| 0 | 24,192 | 250 | 1,234 | 2 | – | – |")
        self.assertEqual(lines[3], "| 8 | 45,000 (1.86 ×) | 401 (1.60 ×) | 617 (0.50 ×) | 2 | ≥ 1.3 × | yes |")
        self.assertEqual(lines[4], "| 4 | – | – | – | – | ≥ 1.4 × | not measured |")
        self.assertIn("quant policy 4: not available", lines)

    def test_the_json_has_every_sample(self):
        samples = {"0": [sample(1), sample(3)]}
        document = json.loads(json.dumps(report.document(report.rows(["0"], samples), samples, {"threads": 2})))
        self.assertEqual((document["threads"], len(document["samples"]["0"])), (2, 2))
        self.assertEqual(document["rows"][0]["medians"]["output_tok_s"], 2)


class RealServerTest(unittest.TestCase):
    def test_measures_a_policy_and_names_one_that_cannot_be_served(self):
        try:
            binary, model = server.binary(), server.model()
        except server.Missing as missing:
            raise unittest.SkipTest(str(missing)) from missing
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out, \
                contextlib.redirect_stderr(io.StringIO()) as complaints:
            file = pathlib.Path(folder, "out.json")
            status = cli.main(["--quick", "--policies", "0,7", "--clients", "4", "--tokens", "96", "--answer", "8",
                               "--sequences", "2", "--headwater", str(binary), "--model", str(model), "--out", str(file)])
            document = json.loads(file.read_text(encoding="utf-8"))
        self.assertEqual(status, 1, complaints.getvalue())
        self.assertIn("quant policy 7: the server ended", out.getvalue())
        self.assertEqual(document["rows"][0]["medians"]["tokens_held"], 192)
        load = document["loads"][0]["load"]
        self.assertEqual((load["succeeded"], load["output_tokens"]), (4, 32))
        self.assertLess(abs(load["prompt_tokens"] / 4 - 88), 5)

    def test_says_what_is_missing(self):
        with contextlib.redirect_stderr(io.StringIO()) as complaints:
            self.assertEqual(cli.main(["--headwater", "/nothing"]), 2)
        self.assertIn("/nothing is missing", complaints.getvalue())


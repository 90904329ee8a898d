"""The load generator: its arithmetic, its texts, its reading of streams, and a run against the real server."""

import asyncio
import contextlib
import io
import json
import unittest

import server
from fake_server import STREAM_HEAD, FakeServer, chunked, event, good_stream, json_answer, text_event
from loadgen import cli, report, workloads
from loadgen.http_client import Answer, BodyReader, Client, Failure


def answer(sent=0.0, times=(0.1, 0.2, 0.3), ended=0.3, tokens=3, **more) -> Answer:
    usage = {"prompt_tokens": 10, "completion_tokens": tokens}
    return Answer(sent=sent, status=200, text_times=list(times), ended=ended, finish_reason="length", usage=usage, **more)


def serve_load(*arguments: str) -> tuple[int, str, str]:
    """Exit status, output and complaints."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as complaints:
        status = cli.main([*arguments])
    return status, out.getvalue(), complaints.getvalue()


class ReportTest(unittest.TestCase):
    def test_interpolates_percentiles_between_ranks(self):
        self.assertEqual(report.percentile([4, 1, 3, 2], 50), 2.5)
        self.assertAlmostEqual(report.percentile(range(101), 95), 95)
        self.assertEqual(report.percentile([7], 99), 7)
        self.assertIsNone(report.percentile([], 50))

    def test_tells_first_token_other_tokens_and_gaps_apart(self):
        summary = report.summarize([answer(times=(0.1, 0.15, 0.3), tokens=3)], 1.0, report.Slo())
        self.assertAlmostEqual(summary["ttft_ms"]["p50"], 100)
        self.assertAlmostEqual(summary["tpot_ms"]["p50"], 100)
        self.assertAlmostEqual(summary["itl_ms"]["p99"], 149, places=0)
        self.assertAlmostEqual(summary["e2e_ms"]["p50"], 300)

    def test_counts_tokens_as_the_server_does_even_if_events_hold_several(self):
        summary = report.summarize([answer(times=(0.1, 0.3), tokens=11)], 2.0, report.Slo())
        self.assertEqual(summary["output_tokens_per_second"], 5.5)
        self.assertAlmostEqual(summary["tpot_ms"]["p50"], 20)

    def test_goodput_needs_both_bounds_and_no_error(self):
        slow_start, slow_going = answer(times=(0.2, 0.3, 0.4), ended=0.4), answer(times=(0.1, 0.5, 0.9), ended=0.9)
        failed = answer()
        failed.fail("timeout")
        summary = report.summarize([answer(), slow_start, slow_going, failed], 2.0, report.Slo(150, 150))
        self.assertEqual(summary["goodput_requests_per_second"], 0.5)
        self.assertEqual(summary["goodput_share"], 0.25)
        self.assertEqual((summary["succeeded"], summary["errors"]), (3, {"timeout": 1}))

    def test_cached_share_is_of_all_prompt_tokens_and_unknown_if_not_told(self):
        told = answer()
        told.usage = told.usage | {"prompt_tokens": 30, "prompt_tokens_details": {"cached_tokens": 12}}
        self.assertEqual(report.summarize([told, answer()], 1.0, report.Slo())["cached_share"], 0.3)
        self.assertIsNone(report.summarize([answer()], 1.0, report.Slo())["cached_share"])

    def test_a_run_without_answers_can_be_printed(self):
        summary = report.summarize([], 0.0, report.Slo(1, 1))
        self.assertIn("0 of 0", report.table(summary, report.Slo(1, 1)))


class WorkloadTest(unittest.TestCase):
    def test_shared_prefix_shares_exactly_its_words_and_asks_nothing_twice(self):
        sessions = workloads.shared_prefix(1, 800, 5, 64)
        prompts = [next(next(sessions).requests()).messages[0]["content"].split() for _ in range(300)]
        self.assertTrue(all(prompt[:800] == prompts[0][:800] and len(prompt) == 805 for prompt in prompts))
        self.assertEqual(len({tuple(prompt) for prompt in prompts}), 300)

    def test_a_seed_repeats_and_another_differs(self):
        def first(seed):
            return next(workloads.random_texts(seed, 50, 1)).questions
        self.assertEqual(first(3), first(3))
        self.assertNotEqual(first(3), first(4))

    def test_a_conversation_sends_its_history_with_the_real_answers(self):
        turns = next(workloads.multi_turn(1, 3, 10, 4, 8)).requests()
        first = turns.send(None)
        second = turns.send("said the model")
        self.assertEqual(second.messages[:1], first.messages)
        self.assertEqual(second.messages[1], {"role": "assistant", "content": "said the model"})
        turns.send("again")
        with self.assertRaises(StopIteration):
            turns.send("end")

    def test_equal_hash_ids_give_equal_beginnings_and_others_differ_at_once(self):
        def text(length, *ids):
            return workloads.trace_text(workloads.TraceEntry(0, length, 1, ids)).split()
        one, two = text(1100, 7, 8, 9), text(1400, 7, 8, 4000)
        self.assertEqual((len(one), len(two)), (1100, 1400))
        self.assertEqual(one[:1024], two[:1024])
        self.assertNotEqual(one[1024], two[1024])
        self.assertNotEqual(text(512, 1), text(512, 65))

    def test_reads_mooncake_lines_and_says_which_is_wrong(self):
        good = '{"timestamp": 27482, "input_length": 600, "output_length": 52, "hash_ids": [46, 47]}'
        self.assertEqual(list(workloads.read_trace([good, "\n"])), [workloads.TraceEntry(27482, 600, 52, (46, 47))])
        for bad in ("{", "[]", '{"timestamp": 1}', good.replace("600", '"many"')):
            with self.assertRaisesRegex(workloads.BadTrace, "^t:2: "):
                list(workloads.read_trace([good, bad], "t"))

    def test_a_trace_keeps_its_times_its_scale_and_the_longest_prompt(self):
        entries = [workloads.TraceEntry(1000, 1024, 100, (1, 2)), workloads.TraceEntry(5000, 2048, 10, (1, 2, 3, 4))]
        first, second = workloads.trace(entries, 0, speedup=2, scale=0.5, max_input=600)
        self.assertEqual((first.at, second.at), (0, 2))
        self.assertEqual((len(first.questions[0].split()), len(second.questions[0].split())), (512, 600))
        self.assertEqual((first.max_tokens, second.max_tokens), (50, 5))


class HttpTest(unittest.TestCase):
    def ask(self, answering, timeout=5.0, keep_text=False, **how) -> Answer:
        async def run(port):
            client = Client("127.0.0.1", port, timeout)
            try:
                return await client.post("/v1/chat/completions", {}, keep_text)
            finally:
                client.close()
        with FakeServer(answering, **how) as fake:
            return asyncio.run(run(fake.port))

    def test_reads_a_stream_however_it_is_cut(self):
        for piece in (1, 2, 3, 7, 64, 1 << 20):
            got = self.ask(lambda *_: good_stream(), keep_text=True, piece=piece)
            self.assertEqual((got.error, got.text, len(got.text_times)), (None, "one two three", 3), piece)
            self.assertEqual(got.usage["completion_tokens"], 3)

    def test_text_that_looks_like_json_is_only_text(self):
        words = ('"content":"x"', '"usage":{', '"error":{"code":1}', "data: {}\n\n", "é" * 3)
        got = self.ask(lambda *_: good_stream(words), keep_text=True, piece=5)
        self.assertEqual((got.error, got.text, len(got.text_times)), (None, "".join(words), len(words)))

    def test_the_role_and_empty_text_are_no_first_token(self):
        got = self.ask(lambda *_: good_stream(("", "")))
        self.assertEqual((got.error, got.text_times), (None, []))

    def test_names_what_went_wrong(self):
        overloaded = {"error": {"code": "overloaded", "message": "…"}}
        cut = STREAM_HEAD + b"20\r\n" + text_event("x")[:20]
        cases = [
            (json_answer(429, overloaded), "HTTP 429: overloaded"),
            (json_answer(500, "?"), "HTTP 500"),
            (STREAM_HEAD + chunked(text_event("x"), event(overloaded)), "error event: overloaded"),
            (STREAM_HEAD + chunked(text_event("x")), "stream without finish_reason"),
            (cut, "connection closed early"),
            (None, "connection closed early"),
            (STREAM_HEAD + b"zz\r\n" * 300, "malformed HTTP"),
            (STREAM_HEAD + chunked(b'data: {"usage":{\n\n'), "malformed answer"),
        ]
        for sent, kind in cases:
            self.assertEqual(self.ask(lambda *_, sent=sent: sent).error, kind)

    def test_gives_up_after_the_timeout_and_keeps_what_came(self):
        got = self.ask(lambda *_: good_stream(), timeout=0.5, piece=200, pause=0.4)
        self.assertEqual(got.error, "timeout")
        self.assertGreater(got.ended - got.sent, 0.4)

    def test_a_server_that_is_not_there_is_an_error_and_no_crash(self):
        client = Client("127.0.0.1", 1, 5)
        self.assertIn("connect: ", asyncio.run(client.post("/", {})).error)

    def test_a_body_with_a_length_ends_there(self):
        body = BodyReader({b"content-length": b"3"})
        self.assertEqual((body.feed(b"ab"), body.done), (b"ab", False))
        self.assertEqual((body.feed(b"cd"), body.done), (b"c", True))

    def test_a_body_without_a_length_ends_with_the_connection(self):
        body = good_stream().split(b"\r\n\r\n", 1)[1].split(b"\r\n")[1::2]
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        got = self.ask(lambda *_: head + b"".join(body))
        self.assertEqual((got.error, len(got.text_times)), (None, 3))

    def test_a_chunk_size_that_never_ends_is_refused(self):
        with self.assertRaises(Failure):
            BodyReader({b"transfer-encoding": b"chunked"}).feed(b"0" * 4096)


class CommandTest(unittest.TestCase):
    def run_json(self, fake: FakeServer, *arguments: str) -> dict:
        status, out, complaints = serve_load(fake.url, "--json", "-", *arguments)
        self.assertEqual((status, complaints), (0, ""))
        return json.loads(out)["summary"]

    def test_a_closed_loop_keeps_as_many_clients_busy_and_sends_what_was_asked_for(self):
        with FakeServer(lambda *_: good_stream(), piece=100, pause=0.002) as fake:
            summary = self.run_json(fake, "--clients", "6", "--requests", "30", "--warmup", "3")
            self.assertEqual((summary["succeeded"], len(fake.asked)), (30, 33))
            self.assertEqual(fake.most_at_once, 6)
            self.assertLessEqual(fake.connections, 7)  # they are kept
            self.assertEqual(summary["cached_share"], 0.4)
            body = fake.asked[0]
            self.assertEqual((body["model"], body["stream"], body["ignore_eos"], body["stream_options"]["include_usage"]),
                             ("fake", True, True, True))

    def test_conversations_count_their_requests(self):
        with FakeServer(lambda *_: good_stream()) as fake:
            self.run_json(fake, "--workload", "multi-turn", "--turns", "3", "--clients", "1", "--requests", "12", "--warmup", "0")
            self.assertEqual(sorted(len(body["messages"]) for body in fake.asked), [1] * 4 + [3] * 4 + [5] * 4)
            self.assertEqual(fake.asked[-1]["messages"][1], {"role": "assistant", "content": "one two three"})

    def test_an_open_loop_sends_at_its_rate_and_skips_beyond_its_bound(self):
        with FakeServer(lambda *_: good_stream(), piece=200, pause=0.2) as fake:
            summary = self.run_json(fake, "--rate", "200", "--requests", "40", "--warmup", "0", "--max-in-flight", "5")
            self.assertLessEqual(fake.most_at_once, 5)
            self.assertGreater(summary["skipped"], 0)
            self.assertEqual(summary["skipped"] + summary["requests"], 40)

    def test_completions_get_a_prompt(self):
        with FakeServer(lambda *_: good_stream()) as fake:
            self.run_json(fake, "--endpoint", "completions", "--workload", "random", "--words", "9", "--requests", "2")
            self.assertEqual(len(fake.asked[0]["prompt"].split()), 9)

    def test_stops_at_its_time_limit(self):
        with FakeServer(lambda *_: good_stream(), piece=50, pause=1) as fake:
            status, out, _ = serve_load(fake.url, "--duration", "0.5", "--warmup", "0")
            self.assertEqual(status, 1)
            self.assertIn("cut off", out)

    def test_errors_are_counted_and_fail_the_run(self):
        with FakeServer(lambda *_: json_answer(429, {"error": {"code": "overloaded"}})) as fake:
            status, out, _ = serve_load(fake.url, "--requests", "3", "--warmup", "0")
            self.assertEqual(status, 1)
            self.assertIn("3 × HTTP 429: overloaded", out)

    def test_loads_only_this_machine_unless_told(self):
        for url in ("http://192.0.2.1:80", "192.0.2.1"):
            status, _, complaints = serve_load(url)
            self.assertEqual(status, 2)
            self.assertIn("--allow-remote", complaints)
        self.assertEqual(cli.address("http://192.0.2.1:81", True), ("192.0.2.1", 81))
        self.assertEqual(cli.address("127.0.0.1:82", False), ("127.0.0.1", 82))

    def test_says_what_is_wrong_with_a_trace(self):
        self.assertIn("needs --trace", serve_load("http://127.0.0.1:1", "--workload", "trace")[2])
        self.assertIn("No such file", serve_load("http://127.0.0.1:1", "--workload", "trace", "--trace", "/none")[2])


class RealServerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            cls.server = server.Server()
        except server.Missing as missing:
            raise unittest.SkipTest(str(missing)) from missing

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_every_answer_has_its_length_and_the_prefix_is_cached(self):
        for endpoint in ("chat", "completions"):
            status, out, complaints = serve_load(
                self.server.url, "--endpoint", endpoint, "--clients", "4", "--requests", "8", "--max-tokens", "6",
                "--shared-words", "200", "--json", "-")
            self.assertEqual((status, complaints), (0, ""), out)
            summary = json.loads(out)["summary"]
            self.assertEqual((summary["output_tokens"], summary["errors"]), (48, {}))
            self.assertGreater(summary["cached_share"], 0.7)
            self.assertGreater(summary["e2e_ms"]["p50"], summary["ttft_ms"]["p50"])

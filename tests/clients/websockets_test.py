"""The WebSocket API as the `websockets` package sees it."""

import json
import unittest

import websockets.sync.client

SERVER = None  # set by run_clients.py

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
PARIS = "The capital of France is Paris."
TERMINAL = ("finished", "cancelled", "failed", "error")  # "error": it was refused, and nothing more comes


class WebSocketTest(unittest.TestCase):
    def setUp(self):
        self.socket = websockets.sync.client.connect(f"ws://{SERVER.host}/v1/stream", max_size=None)

    def tearDown(self):
        self.socket.close()

    def send(self, **frame):
        self.socket.send(json.dumps(frame))

    def generate(self, name, **fields):
        self.send(**{"type": "generate", "id": name, "messages": CAPITAL,
                     "params": {"temperature": 0, "max_tokens": 32}, **fields})

    def receive(self, wanted=None):
        """The next frame, or the next one of this type."""
        while True:
            frame = json.loads(self.socket.recv(timeout=60))
            if wanted in (None, frame["type"]):
                return frame

    def test_streams_an_answer(self):
        self.generate("a1")
        accepted = self.receive()
        self.assertEqual((accepted["type"], accepted["id"]), ("accepted", "a1"))
        frames = [self.receive()]
        while frames[-1]["type"] not in TERMINAL:
            frames.append(self.receive())
        self.assertEqual([frame["seq"] for frame in frames], list(range(len(frames))))
        self.assertEqual("".join(frame["text"] for frame in frames[:-1]), PARIS)
        end = frames[-1]
        self.assertEqual((end["type"], end["reason"]), ("finished", "stop"))
        self.assertEqual(end["usage"]["completion_tokens"], sum(len(frame["token_ids"]) for frame in frames[:-1]))
        self.assertLessEqual(end["timings"]["ttft_ms"], end["timings"]["total_ms"])

    def test_carries_64_requests_at_once(self):
        names = [f"r{i}" for i in range(64)]
        for name in names:
            self.generate(name)
        texts, ended = dict.fromkeys(names, ""), []
        while len(ended) < len(names):
            frame = self.receive()
            if frame["type"] == "token":
                self.assertNotIn(frame["id"], ended)
                texts[frame["id"]] += frame["text"]
            elif frame["type"] in TERMINAL:
                self.assertEqual(frame["type"], "finished", frame)
                ended.append(frame["id"])
        self.assertEqual(sorted(ended), sorted(names))
        self.assertEqual(set(texts.values()), {PARIS})

    def test_cancels_one_and_not_the_other(self):
        self.generate("long", params={"max_tokens": 4000, "ignore_eos": True})
        self.receive("token")
        self.generate("short")
        self.send(type="cancel", id="long")
        ends = {}
        while len(ends) < 2:
            frame = self.receive()
            if frame["type"] in TERMINAL:
                ends[frame["id"]] = frame["type"]
        self.assertEqual(ends, {"long": "cancelled", "short": "finished"})

    def test_lives_on_after_mistakes(self):
        for text in ("{oops", "[]", '{"type": "generate"}', '{"type": "sing", "id": "x"}'):
            self.socket.send(text)
            self.assertEqual(self.receive()["type"], "error")
        self.socket.send(b"\x00\x01")
        self.assertEqual(self.receive()["type"], "error")
        self.generate("p", params={"temperature": "hot"})
        error = self.receive()
        self.assertEqual((error["id"], error["error"]["param"]), ("p", "params.temperature"))
        self.send(type="cancel", id="never")
        self.assertEqual(self.receive()["error"]["code"], "not_found")
        self.generate("a")
        self.generate("a")
        self.assertEqual(self.receive("error")["error"]["code"], "duplicate_id")
        self.assertEqual(self.receive("finished")["id"], "a")

    def test_says_why_a_prompt_cannot_be_served(self):
        self.generate("w", messages=None, prompt="word " * 20000)
        self.assertEqual(self.receive("failed")["error"]["code"], "context_length_exceeded")

    def test_gives_log_probabilities(self):
        self.generate("l", messages=None, prompt="The capital of France is",
                      params={"temperature": 0, "max_tokens": 1, "logprobs": 2, "prompt_logprobs": 1})
        prompt = self.receive("prompt")
        self.assertEqual(len(prompt["logprobs"]), len(prompt["token_ids"]))
        self.assertIsNone(prompt["logprobs"][0]["logprob"])
        token = self.receive("token")
        self.assertEqual(token["logprobs"][0]["token"], " Paris")
        self.assertEqual(len(token["logprobs"][0]["top"]), 2)

    def test_answers_a_ping(self):
        self.assertTrue(self.socket.ping().wait(timeout=30))

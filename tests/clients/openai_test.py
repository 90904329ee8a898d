"""The HTTP API as the `openai` package sees it."""

import asyncio
import json
import math
import unittest
import urllib.error
import urllib.request

import openai

SERVER = None  # set by run_clients.py

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
PARIS = "The capital of France is Paris."


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url=SERVER.url + "/v1", api_key="none", max_retries=0)


def post(path: str, body) -> tuple[int, dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(SERVER.url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class OpenAiTest(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.model = self.client.models.list().data[0].id

    def tearDown(self):
        self.client.close()

    def chat(self, **kwargs):
        return self.client.chat.completions.create(
            **{"model": self.model, "messages": CAPITAL, "temperature": 0, "max_tokens": 32, **kwargs})

    def complete(self, **kwargs):
        return self.client.completions.create(
            **{"model": self.model, "prompt": "The capital of France is", "temperature": 0, "max_tokens": 8, **kwargs})

    # ---- chat ---------------------------------------------------------------------------------------

    def test_knows_the_capital_of_france(self):
        answer = self.chat()
        self.assertEqual(answer.choices[0].message.content, PARIS)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_a_stream_gives_the_same_text_and_the_usage(self):
        text, reasons, usage = "", [], None
        for chunk in self.chat(stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reasons += [choice.finish_reason] if choice.finish_reason else []
        self.assertEqual(text, PARIS)
        self.assertEqual(reasons, ["stop"])
        self.assertGreater(usage.completion_tokens, 0)

    def test_a_prefix_seen_before_is_cached(self):
        messages = [{"role": "system", "content": "You are a helpful guide. " * 30}, *CAPITAL]
        first = self.chat(messages=messages)
        second = self.chat(messages=messages)
        found = second.usage.prompt_tokens_details
        self.assertGreater(found.cached_tokens, 64)
        self.assertEqual(found.cache["matched_tokens"], found.cached_tokens)
        self.assertEqual(found.cache["source"], "memory")
        self.assertEqual(first.choices[0].message.content, second.choices[0].message.content)
        other = self.chat(messages=messages, extra_body={"cache_salt": "another tenant"})
        self.assertEqual(other.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertEqual(other.usage.prompt_tokens_details.cache["miss"]["reason"], "never_seen")

    def test_log_probabilities_belong_to_the_text(self):
        answer = self.chat(logprobs=True, top_logprobs=3)
        tokens = answer.choices[0].logprobs.content
        self.assertEqual(len(tokens), answer.usage.completion_tokens)
        self.assertTrue("".join(t.token for t in tokens).startswith(PARIS))
        for token in tokens:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertAlmostEqual(token.logprob, token.top_logprobs[0].logprob, places=4)  # greedy
            self.assertLessEqual(token.logprob, 0)
            self.assertLess(sum(math.exp(t.logprob) for t in token.top_logprobs), 1.001)
            self.assertEqual(bytes(token.bytes).decode(errors="replace"), token.token)

    def test_choices_differ_and_a_seed_repeats_them(self):
        ask = dict(temperature=1.5, n=3, seed=7, max_tokens=24)
        first = [c.message.content for c in self.chat(**ask).choices]
        again = [c.message.content for c in self.chat(**ask).choices]
        self.assertEqual(first, again)
        self.assertGreater(len(set(first)), 1)

    def test_stops_before_a_stop_string(self):
        answer = self.chat(stop=["France"])
        self.assertEqual(answer.choices[0].message.content, "The capital of ")
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_ends_at_max_tokens(self):
        answer = self.chat(max_tokens=3)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 3)

    def test_a_biased_token_is_never_or_always_chosen(self):
        paris = post("/tokenize", {"prompt": " Paris", "add_special_tokens": False})[1]["tokens"]
        self.assertEqual(len(paris), 1)
        self.assertNotIn("Paris", self.chat(logit_bias={str(paris[0]): -100}).choices[0].message.content)
        always = self.chat(logit_bias={str(paris[0]): 100}, max_tokens=4)
        self.assertEqual(always.choices[0].message.content, " Paris" * 4)

    # ---- completions --------------------------------------------------------------------------------

    def test_completes_text_ids_and_lists_alike(self):
        text = "The capital of France is"
        ids = post("/tokenize", {"prompt": text})[1]["tokens"]
        whole = self.complete().choices[0].text
        self.assertTrue(whole.startswith(" Paris"))
        self.assertEqual(self.complete(prompt=ids).choices[0].text, whole)
        for prompts in ([text, text], [ids, ids]):
            self.assertEqual([c.text for c in self.complete(prompt=prompts).choices], [whole, whole])
        self.assertEqual("".join(c.choices[0].text for c in self.complete(stream=True)), whole)

    def test_scores_a_prompt(self):
        prompt = "The capital of France is Paris"
        ids = post("/tokenize", {"prompt": prompt})[1]["tokens"]
        for max_tokens in (0, 1):
            choice = self.complete(prompt=[ids], echo=True, logprobs=2, max_tokens=max_tokens).choices[0]
            scores = choice.logprobs
            self.assertTrue(choice.text.startswith(prompt))
            self.assertEqual(len(scores.tokens), len(ids) + max_tokens)
            self.assertEqual("".join(scores.tokens[:len(ids)]), prompt)
            self.assertIsNone(scores.token_logprobs[0])
            self.assertTrue(all(score <= 0 for score in scores.token_logprobs[1:]))
            self.assertEqual(scores.text_offset[:2], [0, len(scores.tokens[0])])
            # " Paris" is what the model expects, so it is the best of the alternatives at its place.
            self.assertEqual(max(scores.top_logprobs[len(ids) - 1], key=scores.top_logprobs[len(ids) - 1].get), " Paris")

    def test_takes_what_is_sent_to_other_servers(self):
        others = {"repeat_penalty": 1.0, "mirostat": 0, "num_ctx": 4096, "chat_id": "x", "top_p": 0}
        self.assertEqual(self.chat(max_tokens=16, extra_body=others).choices[0].message.content, PARIS)
        stream = self.chat(max_tokens=3, stream=True, stream_options={"include_usage": True,
                                                                      "continuous_usage_stats": True})
        self.assertEqual([chunk.usage.completion_tokens for chunk in stream], [0, 1, 2, 3, 3, 3])

    def test_names_tokens_by_their_ids(self):
        choice = self.complete(logprobs=1, extra_body={"return_tokens_as_token_ids": True}).choices[0]
        self.assertTrue(all(token.startswith("token_id:") for token in choice.logprobs.tokens))

    def test_turns_text_into_tokens_and_back(self):
        text = "Grüße, 世界! <b>\n"
        status, tokens = post("/tokenize", {"prompt": text, "add_special_tokens": False})
        self.assertEqual(status, 200)
        self.assertEqual(tokens["count"], len(tokens["tokens"]))
        self.assertEqual(post("/detokenize", {"tokens": tokens["tokens"]})[1]["prompt"], text)
        chat = post("/tokenize", {"messages": CAPITAL})[1]
        self.assertEqual(chat["count"], self.chat(max_tokens=1).usage.prompt_tokens)

    # ---- many, cancelled, refused -------------------------------------------------------------------

    def test_serves_64_streams_at_once_and_all_alike(self):
        async def one(api) -> str:
            stream = await api.chat.completions.create(
                model=self.model, messages=CAPITAL, temperature=0, max_tokens=16, stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        async def all_of_them() -> list[str]:
            async with openai.AsyncOpenAI(base_url=SERVER.url + "/v1", api_key="none", max_retries=0) as api:
                return await asyncio.gather(*(one(api) for _ in range(64)))

        self.assertEqual(asyncio.run(all_of_them()), [PARIS] * 64)

    def test_a_client_that_goes_is_not_served_on(self):
        before = SERVER.metric('headwater_requests_total{outcome="cancelled"}')
        stream = self.chat(stream=True, max_tokens=4000, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        SERVER.wait_until(lambda: SERVER.metric('headwater_requests_total{outcome="cancelled"}') > before)
        SERVER.wait_until(lambda: SERVER.metric("headwater_requests_in_flight") == 0)

    def test_each_error_has_its_class(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(temperature=1000)
        self.assertEqual(caught.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(extra_body={"guided_json": {"type": "object"}})
        self.assertEqual(caught.exception.param, "guided_json")
        with self.assertRaises(openai.NotFoundError) as caught:
            self.chat(model="gpt-4")
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete(prompt="word " * 20000)
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        self.assertTrue(caught.exception.body["message"].startswith("This model's maximum context length is "))
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}])
        self.assertEqual(caught.exception.param, "tools")
        self.assertEqual(post("/v1/chat/completions", b"{oops")[0], 400)
        self.assertEqual(post("/v1/chat/completions", b'{"model": "\xff"}')[0], 400)
        self.assertEqual(post("/v1/nowhere", {})[0], 404)
        self.assertEqual(post("/health", {})[0], 405)

    def test_tells_health_and_metrics(self):
        self.assertEqual(SERVER.get("/health")[0], 200)
        self.assertEqual(SERVER.get("/ready")[0], 200)
        self.chat()
        self.assertGreater(SERVER.metric('headwater_requests_total{outcome="finished"}'), 0)
        self.assertGreater(SERVER.metric("headwater_step_seconds_count"), 0)
        total = sum(SERVER.metric(f'headwater_kv_blocks{{state="{s}"}}') for s in ("free", "active", "cached"))
        self.assertEqual(total, SERVER.metric("headwater_kv_blocks_capacity"))

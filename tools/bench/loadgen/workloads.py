"""What is asked: sessions of one or more requests, made from a seed so that every run asks the same.

Texts are made of common words that most tokenizers know as one token each, so words come close to tokens; the report has
the exact counts, from the server's usage.
"""

import dataclasses
import itertools
import json
import random
from collections.abc import Iterator

WORDS = (
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work night point home water room mother area money story "
    "fact month lot right study book eye job word business issue side kind head house service friend father power hour "
    "game line end member law car city name team minute idea body back").split()[:64]
BLOCK_WORDS = 512  # of one hash id of a Mooncake trace


@dataclasses.dataclass(frozen=True)
class Request:
    messages: tuple[dict, ...]
    max_tokens: int


@dataclasses.dataclass
class Session:
    """Requests of one client, each sent after the answer to the one before. `at`: seconds after the start, of a trace."""

    questions: list[str]
    max_tokens: int
    context: str = ""  # goes before the first question
    at: float | None = None

    def requests(self) -> Iterator[Request]:
        """send() the text of each answer to get the next request, which holds the conversation so far."""
        messages: list[dict] = []
        for index, question in enumerate(self.questions):
            text = f"{self.context} {question}".strip() if index == 0 else question
            messages.append({"role": "user", "content": text})
            answer = yield Request(tuple(messages), self.max_tokens)
            messages.append({"role": "assistant", "content": answer or ""})


def sentence(source: random.Random, words: int) -> str:
    return " ".join(source.choices(WORDS, k=words))


def numbered(number: int) -> str:
    """Words that say a number: texts that begin so differ from the first token that can differ."""
    digits = [WORDS[number % 64]]
    while number >= 64:
        number //= 64
        digits.append(WORDS[number % 64])
    return " ".join(digits)


def question(seed: int, number: int, words: int) -> str:
    """A question that no other number has."""
    start = numbered(number)
    rest = words - len(start.split())
    return f"{start} {sentence(random.Random(f'{seed} question {number}'), max(rest, 0))}".strip()


def shared_prefix(seed: int, shared_words: int, question_words: int, max_tokens: int) -> Iterator[Session]:
    """Every request: one and the same text, then a question of its own."""
    shared = sentence(random.Random(f"{seed} shared"), shared_words)
    for number in itertools.count():
        yield Session([question(seed, number, question_words)], max_tokens, shared)


def multi_turn(seed: int, turns: int, first_words: int, question_words: int, max_tokens: int) -> Iterator[Session]:
    """Conversations: each request sends all that was said before."""
    for number in itertools.count():
        context = question(seed, number, first_words)
        yield Session([question(seed, number * turns + turn, question_words) for turn in range(turns)], max_tokens, context)


def random_texts(seed: int, words: int, max_tokens: int) -> Iterator[Session]:
    """Nothing in common."""
    for number in itertools.count():
        yield Session([question(seed, number, words)], max_tokens)


@dataclasses.dataclass(frozen=True)
class TraceEntry:
    """A line of a trace in Mooncake's format."""

    timestamp_ms: float
    input_length: int
    output_length: int
    hash_ids: tuple[int, ...]


class BadTrace(Exception):
    """A trace that cannot be read; says which line and why."""


def read_trace(lines, name: str = "trace") -> Iterator[TraceEntry]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            yield TraceEntry(float(entry["timestamp"]), int(entry["input_length"]), int(entry["output_length"]),
                             tuple(int(block) for block in entry["hash_ids"]))
        except (ValueError, TypeError, KeyError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise BadTrace(f"{name}:{number}: not a request of a Mooncake trace: {reason}") from error


def trace_text(entry: TraceEntry, seed: int = 0, scale: float = 1.0) -> str:
    """As many words as the entry has tokens (times scale); equal hash ids at the beginning give an equal beginning."""
    left = max(1, round(entry.input_length * scale))
    block_words = max(8, round(BLOCK_WORDS * scale))
    words: list[str] = []
    for block in entry.hash_ids or (0,):
        if left <= 0:
            break
        text = question(seed, block, block_words).split()[:left]
        words += text
        left -= len(text)
    if left > 0:  # the trace names fewer blocks than its length needs
        words += sentence(random.Random(f"{seed} tail {entry.timestamp_ms} {entry.input_length}"), left).split()
    return " ".join(words)


def trace(entries, seed: int, speedup: float, scale: float, max_input: int) -> Iterator[Session]:
    """The trace's requests at the trace's times. Those longer than max_input words are cut."""
    first = None
    for entry in entries:
        first = entry.timestamp_ms if first is None else first
        words = trace_text(entry, seed, scale).split()[:max_input]
        output = max(1, round(entry.output_length * scale))
        yield Session([" ".join(words)], output, at=(entry.timestamp_ms - first) / 1000 / speedup)

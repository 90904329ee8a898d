"""What the answers amount to: percentiles, rates, goodput, errors."""

import collections
import dataclasses
import math
from collections.abc import Sequence

from .http_client import Answer

PERCENTILES = (50, 95, 99)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Interpolated between the two nearest ranks; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100
    low, high = math.floor(rank), math.ceil(rank)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    return {f"p{percent}": percentile(values, percent) for percent in PERCENTILES}


@dataclasses.dataclass(frozen=True)
class Slo:
    """Bounds in ms that a good answer keeps. None: no bound."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None

    def kept_by(self, ttft_ms: float, tpot_ms: float | None) -> bool:
        if self.ttft_ms is not None and ttft_ms > self.ttft_ms:
            return False
        return self.tpot_ms is None or tpot_ms is None or tpot_ms <= self.tpot_ms


def output_tokens(answer: Answer) -> int:
    """As the server says; one for each event where it does not."""
    tokens = (answer.usage or {}).get("completion_tokens")
    return len(answer.text_times) if tokens is None else tokens


def cached_tokens(answer: Answer) -> int | None:
    details = (answer.usage or {}).get("prompt_tokens_details") or {}
    return details.get("cached_tokens")


def ttft_ms(answer: Answer) -> float | None:
    """Until the first event with text."""
    return (answer.text_times[0] - answer.sent) * 1000 if answer.text_times else None


def tpot_ms(answer: Answer) -> float | None:
    """Time per output token after the first."""
    tokens = output_tokens(answer)
    if tokens < 2 or not answer.text_times:
        return None
    return (answer.ended - answer.text_times[0]) * 1000 / (tokens - 1)


def summarize(answers: Sequence[Answer], seconds: float, slo: Slo) -> dict:
    """Latencies are in ms. Only whole answers count, but for `errors`."""
    good = [answer for answer in answers if answer.error is None]
    firsts = [value for answer in good if (value := ttft_ms(answer)) is not None]
    kept = sum(1 for answer in good if (first := ttft_ms(answer)) is not None and slo.kept_by(first, tpot_ms(answer)))
    gaps = [(after - before) * 1000 for answer in good for before, after in zip(answer.text_times, answer.text_times[1:])]
    prompt = sum((answer.usage or {}).get("prompt_tokens", 0) for answer in good)
    told = [cached for answer in good if (cached := cached_tokens(answer)) is not None]
    output = sum(output_tokens(answer) for answer in good)
    return {
        "requests": len(answers),
        "succeeded": len(good),
        "errors": dict(collections.Counter(answer.error for answer in answers if answer.error).most_common()),
        "seconds": seconds,
        "prompt_tokens": prompt,
        "output_tokens": output,
        "output_tokens_from_usage": all(answer.usage for answer in good),
        "cached_share": sum(told) / prompt if told and prompt else None,
        "output_tokens_per_second": output / seconds if seconds else 0.0,
        "requests_per_second": len(good) / seconds if seconds else 0.0,
        "goodput_requests_per_second": kept / seconds if seconds else 0.0,
        "goodput_share": kept / len(answers) if answers else 0.0,
        "ttft_ms": percentiles(firsts),
        "tpot_ms": percentiles([value for answer in good if (value := tpot_ms(answer)) is not None]),
        "itl_ms": percentiles(gaps),
        "e2e_ms": percentiles([(answer.ended - answer.sent) * 1000 for answer in good]),
    }


def table(summary: dict, slo: Slo) -> str:
    """For people."""
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:,.1f}"

    lines = [f"{'ms':<26}" + "".join(f"{f'p{percent}':>12}" for percent in PERCENTILES)]
    for key, name in (("ttft_ms", "time to first token"), ("tpot_ms", "time per output token"),
                      ("itl_ms", "between events"), ("e2e_ms", "whole answer")):
        lines.append(f"{name:<26}" + "".join(f"{number(summary[key][f'p{percent}']):>12}" for percent in PERCENTILES))
    lines.append("")
    lines.append(f"{'requests':<26}{summary['succeeded']:>12,} of {summary['requests']:,} in {summary['seconds']:.2f} s, "
                 f"{summary['requests_per_second']:.2f} a second")
    counted = "" if summary["output_tokens_from_usage"] else "  (events counted; the server gave no usage)"
    lines.append(f"{'output tokens a second':<26}{number(summary['output_tokens_per_second']):>12}{counted}")
    if slo.ttft_ms is not None or slo.tpot_ms is not None:
        bounds = ", ".join(f"{name} <= {bound:g} ms" for name, bound in
                           (("TTFT", slo.ttft_ms), ("TPOT", slo.tpot_ms)) if bound is not None)
        lines.append(f"{'goodput':<26}{summary['goodput_requests_per_second']:>12.2f} requests a second "
                     f"({summary['goodput_share']:.0%}) with {bounds}")
    share = summary["cached_share"]
    lines.append(f"{'prompt tokens':<26}{summary['prompt_tokens']:>12,}"
                 + ("  (cached: not told)" if share is None else f"  ({share:.1%} cached)"))
    lines += [f"{'error':<26}{count:>12,} × {kind}" for kind, count in summary["errors"].items()]
    return "\n".join(lines)

"""Medians of each quantisation policy, and their ratios to 16 bits, as a table and as JSON."""

import dataclasses
import statistics

from comparison.report import number

SIXTEEN_BITS = "0"
# Output tokens a second that a policy has to give, as a multiple of what 16 bits give.
MUST = {"8": 1.3, "4": 1.4}


@dataclasses.dataclass(frozen=True)
class Sample:
    """One policy, measured once."""

    tokens_held: int  # by the cache
    output_tok_s: float
    ttft_p50_ms: float
    preemptions: int


Samples = dict[str, list[Sample]]  # policy -> a sample a round


@dataclasses.dataclass
class Row:
    """The medians of a policy, by the fields of Sample, and the same divided by those of 16 bits."""

    policy: str
    medians: dict[str, float]
    ratios: dict[str, float]
    verdict: str  # "yes", "no", or why there is none


def medians(samples: list[Sample]) -> dict[str, float]:
    if not samples:
        return {}
    return {field.name: statistics.median(getattr(sample, field.name) for sample in samples)
            for field in dataclasses.fields(Sample)}


def verdict(policy: str, measured: bool, ratio: float | None) -> str:
    if not measured:
        return "not measured"
    if policy not in MUST:
        return "–"
    if ratio is None:
        return "nothing to compare with"
    return "yes" if ratio >= MUST[policy] else "no"


def rows(policies: list[str], samples: Samples) -> list[Row]:
    base = medians(samples.get(SIXTEEN_BITS, []))
    made = []
    for policy in policies:
        own = medians(samples.get(policy, []))
        ratios = {name: value / base[name] for name, value in own.items() if base.get(name)}
        made.append(Row(policy, own, ratios, verdict(policy, bool(own), ratios.get("output_tok_s"))))
    return made


def cell(row: Row, name: str) -> str:
    if name not in row.medians:
        return "–"
    ratio = f" ({row.ratios[name]:.2f} ×)" if name in row.ratios and row.policy != SIXTEEN_BITS else ""
    return number(row.medians[name]) + ratio


def table(made: list[Row], notes: dict[str, str]) -> str:
    """Markdown. `notes`: of policies that could not be measured, why."""
    lines = ["| quant policy | tokens held | output tok/s | TTFT p50, ms | preemptions | must | reached |",
             "|---|---|---|---|---|---|---|"]
    for row in made:
        must = f"≥ {MUST[row.policy]:g} ×" if row.policy in MUST else "–"
        cells = [cell(row, name) for name in ("tokens_held", "output_tok_s", "ttft_p50_ms")]
        preemptions = number(row.medians["preemptions"]) if row.medians else "–"
        lines.append(f"| {row.policy} | " + " | ".join([*cells, preemptions, must, row.verdict]) + " |")
    lines += [f"\nquant policy {policy}: {note}" for policy, note in notes.items()]
    return "\n".join(lines)


def document(made: list[Row], samples: Samples, about: dict) -> dict:
    """Everything that a reader needs to judge the table."""
    return about | {
        "rows": [{"quant_policy": row.policy, "medians": row.medians, "ratios_to_16_bits": row.ratios,
                  "must": MUST.get(row.policy), "reached": row.verdict} for row in made],
        "samples": {policy: [vars(sample) for sample in taken] for policy, taken in samples.items()},
    }

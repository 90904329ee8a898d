"""Medians, ratios and verdicts from samples, as a table and as JSON."""

import dataclasses
import statistics

from .works import Work

HEADWATER = "headwater"


@dataclasses.dataclass
class Row:
    """One work: each engine's median, and how Headwater does against the best of the others."""

    work: Work
    medians: dict[str, float]
    best_peer: str | None
    ratio: float | None  # Headwater's number divided by the best peer's
    verdict: str  # "yes", "no", or why there is none


Samples = dict[str, dict[str, list[float]]]  # work -> engine -> a number a round


def make_row(work: Work, samples: dict[str, list[float]]) -> Row:
    medians = {engine: statistics.median(values) for engine, values in samples.items() if values}
    ours = medians.get(HEADWATER)
    peers = {engine: value for engine, value in medians.items() if engine != HEADWATER}
    choose = max if work.higher_is_better else min
    best = choose(peers, key=peers.get) if peers else None
    ratio = ours / peers[best] if ours is not None and best is not None and peers[best] else None
    return Row(work, medians, best, ratio, verdict(work, ours, ratio))


def verdict(work: Work, ours: float | None, ratio: float | None) -> str:
    if ours is None:
        return "not measured"
    value, goal = (ours, work.bound) if work.ratio is None else (ratio, work.ratio)
    if value is None:
        return "no peer"
    return "yes" if (value >= goal if work.higher_is_better else value <= goal) else "no"


def rows(works: list[Work], samples: Samples) -> list[Row]:
    return [make_row(work, samples.get(work.name, {})) for work in works]


def number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(made: list[Row], engines: list[str], notes: dict[str, str]) -> str:
    """Markdown. `notes`: of engines that could not be measured, why."""
    lines = ["| work | unit | " + " | ".join(engines) + " | ratio to the best | must | reached |",
             "|---|---|" + "---|" * len(engines) + "---|---|---|"]
    for row in made:
        numbers = [number(row.medians.get(engine)) for engine in engines]
        against = "–" if row.ratio is None else f"{row.ratio:.2f} × {row.best_peer}"
        lines.append(f"| {row.work.name} | {row.work.unit} | " + " | ".join(numbers)
                     + f" | {against} | {row.work.must} | {row.verdict} |")
    lines += [f"\n{engine}: {note}" for engine, note in notes.items()]
    return "\n".join(lines)


def document(made: list[Row], samples: Samples, about: dict) -> dict:
    """Everything that a reader needs to judge the table: `about`, the verdicts, and every sample."""
    return about | {
        "rows": [{"work": row.work.name, "unit": row.work.unit, "must": row.work.must, "medians": row.medians,
                  "best_peer": row.best_peer, "ratio": row.ratio, "reached": row.verdict} for row in made],
        "samples": samples,
    }

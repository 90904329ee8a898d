"""What is measured, and what Headwater has to reach against the best of the others."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Work:
    """Something measured as one number."""

    name: str
    unit: str
    higher_is_better: bool = True
    # What it must be: a multiple of the best peer (for times: a fraction), or an absolute bound.
    ratio: float | None = None
    bound: float | None = None
    # Of a measurement of the engine alone:
    phase: str = ""  # prefill, decode; empty: measured at a server
    batch: int = 1
    context: int = 0
    clients: int = 0

    @property
    def must(self) -> str:
        sign = "≥" if self.higher_is_better else "≤"
        return f"{sign} {self.ratio:g}×" if self.ratio is not None else f"{sign} {self.bound:g} {self.unit}"


MODEL_WORKS = (
    Work("prefill 512", "tok/s", ratio=1.15, phase="prefill", context=512),
    Work("prefill 4096", "tok/s", ratio=1.3, phase="prefill", context=4096),
    Work("decode 1", "tok/s", ratio=1.7, phase="decode", context=128),
    Work("decode 8", "tok/s", ratio=1.7, phase="decode", batch=8, context=128),
    Work("decode 48", "tok/s", ratio=1.7, phase="decode", batch=48, context=128),
    Work("decode 1 at 4096", "tok/s", ratio=2.0, phase="decode", context=4096),
)
# All of one start of a server, in this order.
SERVER_WORKS = (
    Work("start", "s", higher_is_better=False, bound=1.0),
    Work("resident", "MB", higher_is_better=False, bound=150.0),
    Work("idle", "% CPU", higher_is_better=False, bound=1.0),
    Work("served 8 tok/s", "tok/s", ratio=2.0, clients=8),
    Work("served 8 TTFT", "ms", higher_is_better=False, ratio=0.5, clients=8),
    Work("served 48 tok/s", "tok/s", ratio=2.0, clients=48),
    Work("served 48 TTFT", "ms", higher_is_better=False, ratio=0.5, clients=48),
)
WORKS = MODEL_WORKS + SERVER_WORKS


def named(names: str | None) -> list[Work]:
    """The works of a comma-separated list: whole names or their beginnings ("decode", "served 8"). None: all."""
    if names is None:
        return list(WORKS)
    chosen = set()
    for name in names.split(","):
        found = [work.name for work in WORKS if work.name == name.strip()]
        found = found or [work.name for work in WORKS if work.name.startswith(name.strip())]
        if not found:
            raise ValueError(f'unknown work "{name}" (known: {", ".join(work.name for work in WORKS)})')
        chosen.update(found)
    return [work for work in WORKS if work.name in chosen]

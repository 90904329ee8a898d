"""What this machine is, and what processes on it use."""

import dataclasses
import datetime
import os
import pathlib
import re

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16")
POOL_BYTES = 256 << 20  # an anonymous mapping of at least this size is taken for a KV pool


def describe() -> dict:
    cpu = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.*)$", cpu, re.M)
    flags = re.search(r"^flags\s*:\s*(.*)$", cpu, re.M)
    known = set(flags[1].split()) if flags else set()
    memory = re.search(r"^MemTotal:\s*(\d+) kB", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"), re.M)
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "cpu": model[1] if model else "unknown", "cores": len(os.sched_getaffinity(0)),
            "flags": [flag for flag in FLAGS if flag in known], "memory_mib": int(memory[1]) // 1024 if memory else None,
            "kernel": os.uname().release, "load_before": os.getloadavg()[0]}


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue  # it ended meanwhile
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


@dataclasses.dataclass
class Memory:
    """Of a process tree, in bytes; pages that processes share count once."""

    total: int = 0
    model_file: int = 0  # mapped from the model's file
    pool: int = 0  # in anonymous mappings so large that they can only be a KV pool


def parse_smaps(text: str, model: str) -> Memory:
    memory, size, name = Memory(), 0, ""
    for line in text.splitlines():
        if mapping := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+\s*(.*)$", line):
            name = mapping[1]
        elif line.startswith("Size:"):
            size = int(line.split()[1]) * 1024
        elif line.startswith("Pss:"):
            bytes_here = int(line.split()[1]) * 1024
            memory.total += bytes_here
            if name == model:
                memory.model_file += bytes_here
            elif not name.startswith(("/", "[heap")) and size >= POOL_BYTES:
                memory.pool += bytes_here
    return memory


def memory_of(root: int, model: str) -> Memory:
    whole = Memory()
    for pid in tree(root):
        try:
            part = parse_smaps(pathlib.Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8"), model)
        except OSError:
            continue
        whole.total += part.total
        whole.model_file += part.model_file
        whole.pool += part.pool
    return whole


def cpu_seconds(root: int) -> float:
    """Processor time that a process tree has used so far."""
    ticks = 0
    for pid in tree(root):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")

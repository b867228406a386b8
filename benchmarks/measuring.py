"""Options, timing and the last line of all benchmarks."""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path


def parser(description: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def rates(ways: dict[str, Callable[[], object]], items: int, rounds: int) -> dict[str, int]:
    """Return items per second of processor time by way, the best of some rounds.

    The ways take turns, so that other work on the machine disturbs them alike.
    """
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, work in ways.items():
            start = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - start)
    return {name: round(items / seconds) for name, seconds in best.items()}


def peak_bytes() -> int:
    """Return the peak resident memory of this process; ru_maxrss would also count its parent before exec."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def report(benchmark: str, **figures: object) -> None:
    """Print the figures as one JSON line."""
    print(json.dumps({"benchmark": benchmark, "load_average": round(os.getloadavg()[0], 1), **figures}))

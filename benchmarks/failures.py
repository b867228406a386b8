#!/usr/bin/env python
"""Measure responses classified per second on one core, compared with scoring the same responses in the same run.

The responses are the hand-labelled ones of tests/labelled, of tiny models and as larger ones write.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fofg.tasks.strings.expressions import evaluate, parse
from fofg.tasks.strings.failures import classify
from fofg.tasks.strings.failures_alignment import Solution
from fofg.tasks.strings.grading import grade

LABELLED = Path(__file__).parents[1] / "tests" / "labelled" / "failures.jsonl"


def rate(work: Callable[[dict], object], rows: list[dict]) -> float:
    """Return responses per second of processor time."""
    start = time.process_time()
    for row in rows:
        work(row)
    return len(rows) / (time.process_time() - start)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=10, help="rounds; the best counts (default: %(default)s)")
    options = arguments.parse_args()
    rows = [json.loads(line) for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    outputs = {id(row): evaluate(parse(row["expression"]), row["input"]) for row in rows}
    results = {"benchmark": "failures"}
    for source in ("tiny", "written"):
        mine = [row for row in rows if row["source"] == source]
        print(f"{source}: {len(mine)} responses, {options.repeats} rounds", file=sys.stderr)
        rounds = [
            (
                rate(lambda row: classify(Solution(parse(row["expression"]), row["input"]), row["response"]), mine),
                rate(lambda row: grade(row["response"], outputs[id(row)]), mine),
            )
            for _ in range(options.repeats)
        ]
        classified, scored = (max(column) for column in zip(*rounds))
        results[source] = {
            "responses_per_second": round(classified),
            "scored_per_second": round(scored),
            "ratio": round(classified / scored, 3),
            "mean_characters": round(sum(len(row["response"]) for row in mine) / len(mine)),
        }
    print(json.dumps(results))


if __name__ == "__main__":
    main()

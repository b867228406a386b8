#!/usr/bin/env python
"""Measure how fast Level-2 problems are made on one core, against the usual way, and whether memory stays flat.

The usual way makes the paper sampler's problems: text by choice and choices, eval, and inspect's source of each function, a problem
at a time; that both make the same ones is checked. Speeds are problems per second of processor time, the best of several rounds, so
that other work on the machine disturbs them little. Memory is the peak of a process that writes a file of these problems.
"""

import argparse
import inspect
import json
import multiprocessing
import random
import re
import string
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fofg.config import Problems
from fofg.data import datasets
from fofg.specs import ProblemsSpec
from fofg.tasks.strings.functions import DECLARED, FUNCTIONS, PUBLIC_NAMES
from fofg.tasks.strings.pools import PUBLISHED

DATASET = "stage2_level2"
TARGET = 40_000
TEMPLATE = 'You are given this code:\n\n{code}\n\nWhat does main_solution({input}) return? Answer as JSON: {"output": "..."}'
SETTINGS = {
    "paper": Problems(sampler="paper", seed=42, input_length=(3, 10), max_output_length=None, template=TEMPLATE),
    "balanced": Problems(sampler="balanced", seed=42, input_length=(3, 6), max_output_length=32, template=TEMPLATE),
}


class UsualWay:
    """The paper's procedure written straight down."""

    def __init__(self, pool: tuple[str, ...] = PUBLISHED["train"]):
        self.random = random.Random(SETTINGS["paper"].seed)
        self.pool = pool
        self.letters = string.ascii_lowercase

    def word(self, low: int, high: int) -> str:
        length = self.random.randint(low, high)
        return "".join(self.random.choices(self.letters, k=length))

    def parameter(self, name: str) -> str:
        if name in ("add_prefix", "add_suffix"):
            return repr(self.word(2, 4))
        if name == "insert_separator":
            return repr(self.random.choice(["-", "_", "|"]))
        return str(self.random.randint(*{"repeat_str": (2, 4), "loop_concat": (2, 4), "shift_chars": (1, 5)}.get(name, (1, 3))))

    def expression(self, depth: int) -> str:
        if depth == 0:
            return "x" if self.random.random() < 0.5 else repr(self.word(3, 6))
        if self.random.random() < 0.2:
            left, right = self.expression(depth - 1), self.expression(depth - 1)
            return f"({left} + {right})" if self.random.random() < 0.5 else f"recursive_interlace({left}, {right})"
        if self.random.random() < 0.02:
            method = self.random.choice(["upper", "lower", "capitalize", "swapcase"])
            return f"({self.expression(depth - 1)}).{method}()"
        if self.random.random() < 0.5:
            name = self.random.choice([name for name in self.pool if DECLARED[name].operands == 1 and not DECLARED[name].parameter])
            return f"{name}({self.expression(depth - 1)})"
        name = self.random.choice([name for name in self.pool if DECLARED[name].parameter])
        operand = self.expression(depth - 1)
        return f"{name}({operand}, {self.parameter(name)})"

    def rows(self, count: int, depth: int = 2) -> list[dict]:
        rows, expressions = [], set()
        while len(rows) < count:
            text = self.expression(depth)
            value = self.word(3, 10)
            output = eval(text, dict(FUNCTIONS), {"x": value})
            if text in expressions:
                continue
            expressions.add(text)
            names = [name for name in FUNCTIONS if re.search(rf"\b{name}\b", text)]
            code = "\n\n".join(
                [*(inspect.getsource(FUNCTIONS[name]) for name in names), f"def main_solution(x):\n    return {text}"]
            )
            for name in names:
                code = re.sub(rf"\b{name}\b", PUBLIC_NAMES[name], code)
            truth = {"ref_input": value, "ref_output": output, "expression": code.rsplit("return ", 1)[1]}
            prompt = [{"role": "user", "content": f"{code}\n\nWhat does main_solution({value!r}) return?"}]
            rows.append({"prompt": prompt, "reward_model": {"style": "rule", "ground_truth": json.dumps(truth)}})
        return rows


def usual_way(rows: int) -> None:
    UsualWay().rows(rows)


def check(rows: int = 500) -> None:
    """Raise SystemExit unless the usual way and the paper sampler make the same problems."""
    usual = [row["reward_model"]["ground_truth"] for row in UsualWay().rows(rows)]
    ours = [problem.truth for problem in datasets.problems(spec("paper", rows))]
    if list(map(json.loads, usual)) != list(map(json.loads, ours)):
        raise SystemExit("error: the usual way and the paper sampler made different problems")


def spec(sampler: str, rows: int) -> ProblemsSpec:
    return ProblemsSpec(dataset=DATASET, stage=2, levels=(2, 2), split="train", rows=rows, problems=SETTINGS[sampler])


def make_problems(sampler: str, rows: int) -> None:
    for _ in datasets.problems(spec(sampler, rows)):
        pass


def make_rows(sampler: str, rows: int) -> None:
    for _ in datasets.batches(spec(sampler, rows)):
        pass


def make_file(sampler: str, rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        datasets.write(Path(folder) / "train.parquet", spec(sampler, rows))


def speed(make: Callable[[int], None], rows: int, rounds: int) -> int:
    """Return problems per second of processor time, the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        make(rows)
        best = min(best, time.process_time() - start)
    return round(rows / best)


def _peak(sampler: str, rows: int, answer) -> None:
    make_file(sampler, rows)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    answer.send(int(status["VmHWM"].split()[0]) / 1024)


def peak(sampler: str, rows: int) -> float:
    """Return the peak memory in MiB of a fresh process that writes the problems."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_peak, args=(sampler, rows, theirs))
    process.start()
    value = ours.recv()
    process.join()
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000, help="problems per round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=8, help="rounds, the best of which counts (default: %(default)s)")
    parser.add_argument(
        "--memory-rows",
        type=int,
        nargs=2,
        default=(50_000, 400_000),
        help="sizes whose peak memory is compared (default: %(default)s)",
    )
    arguments = parser.parse_args()
    check()
    baseline = speed(usual_way, min(arguments.rows, 2000), 3)
    figures = {"unit": "problems/s of processor time", "level": 2, "usual_way": baseline, "target": TARGET, "samplers": {}}
    few, many = arguments.memory_rows
    for sampler in SETTINGS:
        rates = {}
        for name, make in (("problems", make_problems), ("rows", make_rows), ("parquet", make_file)):
            print(f"{sampler}: {name}", file=sys.stderr)
            rates[name] = speed(partial(make, sampler), arguments.rows, arguments.rounds)
        rates["rows_over_usual_way"] = round(rates["rows"] / baseline, 1)
        print(f"{sampler}: memory", file=sys.stderr)
        low, high = peak(sampler, few), peak(sampler, many)
        rates["peak_mib"] = {str(few): round(low), str(many): round(high), "growth": round(high - low, 1)}
        figures["samplers"][sampler] = rates
    figures["met"] = all(rates["rows"] >= TARGET for rates in figures["samplers"].values())
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

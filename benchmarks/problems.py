"""Level-2 problems created per second on one core, beside the usual way in the same run, and whether memory stays flat.

The usual way draws the published sampler's problems as text, evaluates them with ``eval`` and looks up the source of each function
with ``inspect``. Both must create the same problems. Memory is the peak of a process that writes a file of problems.
"""

import argparse
import inspect
import json
import random
import re
import string
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path

from measuring import parser, peak_bytes, rates, report

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
    """The published procedure as a plain script."""

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
        made, taken = [], set()
        while len(made) < count:
            text = self.expression(depth)
            value = self.word(3, 10)
            output = eval(text, dict(FUNCTIONS), {"x": value})
            if text in taken:
                continue
            taken.add(text)
            names = [name for name in FUNCTIONS if re.search(rf"\b{name}\b", text)]
            code = "\n\n".join(
                [*(inspect.getsource(FUNCTIONS[name]) for name in names), f"def main_solution(x):\n    return {text}"]
            )
            for name in names:
                code = re.sub(rf"\b{name}\b", PUBLIC_NAMES[name], code)
            truth = {"ref_input": value, "ref_output": output, "expression": code.rsplit("return ", 1)[1]}
            prompt = [{"role": "user", "content": f"{code}\n\nWhat does main_solution({value!r}) return?"}]
            made.append({"prompt": prompt, "reward_model": {"style": "rule", "ground_truth": json.dumps(truth)}})
        return made


def check(rows: int = 500) -> None:
    """Exit unless the usual way and the published sampler create the same problems."""
    usual = [row["reward_model"]["ground_truth"] for row in UsualWay().rows(rows)]
    ours = [problem.truth for problem in datasets.problems(spec("paper", rows))]
    if list(map(json.loads, usual)) != list(map(json.loads, ours)):
        sys.exit("error: the usual way and the published sampler created different problems")


def spec(sampler: str, rows: int) -> ProblemsSpec:
    return ProblemsSpec(dataset=DATASET, stage=2, levels=(2, 2), split="train", rows=rows, problems=SETTINGS[sampler])


def peak_mib(sampler: str, rows: int) -> float:
    """Return the peak memory of a new process that writes the problems."""
    print(f"{sampler}: memory, {rows:,} problems", file=sys.stderr)
    command = [sys.executable, __file__, "--write", sampler, "--rows", str(rows)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 2**20


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--rows", type=int, default=5000, help="problems per round (default: %(default)s)")
    arguments.add_argument("--rounds", type=int, default=8, help="rounds, the best of which counts (default: %(default)s)")
    sizes = {"type": int, "nargs": 2, "default": (50_000, 400_000)}
    arguments.add_argument("--memory-rows", **sizes, help="sizes whose peak memory is compared (default: %(default)s)")
    arguments.add_argument("--write", choices=SETTINGS, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.write:
        with tempfile.TemporaryDirectory() as folder:
            datasets.write(Path(folder) / "train.parquet", spec(options.write, options.rows))
        return print(peak_bytes())
    check()
    ours = {name: lambda name=name: deque(datasets.batches(spec(name, options.rows)), maxlen=0) for name in SETTINGS}
    found = rates(ours | {"usual": lambda: UsualWay().rows(options.rows)}, options.rows, options.rounds)
    samplers = {}
    for sampler in SETTINGS:
        peaks = {str(rows): round(peak_mib(sampler, rows), 1) for rows in options.memory_rows}
        samplers[sampler] = {
            "rows": found[sampler],
            "rows_over_usual_way": round(found[sampler] / found["usual"], 1),
            "peak_mib": peaks,
        }
    met = all(found[sampler] >= TARGET for sampler in SETTINGS)
    unit = "problems/s of processor time"
    report("problems", unit=unit, level=2, usual_way=found["usual"], target=TARGET, samplers=samplers, met=met)


if __name__ == "__main__":
    main()

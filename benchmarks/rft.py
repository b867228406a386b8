"""Selection of RFT data: responses per second and peak memory, against the usual way on a tenth of the data.

Writes rollouts (10 responses of 1 KB per problem, half of them correct) and selects from them with the library, then the usual way:
all rows in memory, a loop over characters that finds the answer, pandas to write.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from measuring import parser, peak_bytes, report
from scoring import usual_answer

from fofg.config import DEFAULT, Config, Selection, load, read
from fofg.data.files import write_parquet
from fofg.data.schemas import ROLLOUTS
from fofg.specs import SelectionSpec, part
from fofg.tasks.strings.expressions import Leaf, Operation, X, evaluate
from fofg.tasks.strings.expressions import text as written
from fofg.tasks.strings.functions import DECLARED
from fofg.tasks.strings.prompts import prompt_text

SAMPLES = 10
RESPONSE_BYTES = 1000
TARGETS = {"responses_per_second": 60_000, "peak_bytes": 1_000_000_000}
TEXT = 'first we take the letters then apply func_3 to each of them and write it down so that the result is next "abc" [1, 2]'
WORDS = TEXT.split()


def row(index: int, template: str, generator: random.Random) -> dict:
    name = generator.choice(list(DECLARED))
    declared = DECLARED[name]
    parameters = (declared.parameter.draw(generator),) if declared.parameter else ()
    tree = Operation(name, (X, Leaf("ab"))[: declared.operands], parameters)
    given = "".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=generator.randint(3, 10)))
    truth = {"ref_input": given, "ref_output": evaluate(tree, given), "expression": written(tree)}
    skill = generator.choice((0.0, 0.3, 0.6, 0.9, 1.0))
    responses = [response(truth["ref_output"], generator.random() < skill, generator) for _ in range(SAMPLES)]
    return {
        "data_source": "string_task",
        "prompt": [{"role": "user", "content": prompt_text(template, truth["expression"], given, (name,))}],
        "ability": "code",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(truth)},
        "extra_info": {
            "index": index,
            "split": "train",
            "level": 1,
            "depth": 1,
            "calls": 1,
            "functions": [name],
        },
        "responses": responses,
        "finish_reasons": ["stop" if generator.random() < 0.98 else "length" for _ in range(SAMPLES)],
        "token_counts": [250] * SAMPLES,
    }


def response(output: str, correct: bool, generator: random.Random) -> str:
    answer = json.dumps({"output": output if correct else output + "?"}, ensure_ascii=False)
    words: list[str] = []
    length = RESPONSE_BYTES - len(answer)
    while length > 0:
        words += generator.choices(WORDS, k=length // 5 + 1)
        length = RESPONSE_BYTES - len(answer) - sum(map(len, words)) - len(words)
    if generator.random() < 0.2:
        words[len(words) // 2] = "{step: 2}"
    return " ".join(words)[: RESPONSE_BYTES - len(answer) - 1] + "\n" + answer


def rollouts(path: Path, problems: int, template: str) -> None:
    def batches() -> Iterator[list[dict]]:
        generator = random.Random(0)
        for first in range(0, problems, 1000):
            print(f"making rollouts: {first:,} of {problems:,} problems", end="\r", file=sys.stderr)
            yield [row(index, template, generator) for index in range(first, min(first + 1000, problems))]
        print(file=sys.stderr)

    write_parquet(path, ROLLOUTS, batches())


def usual(rollout: Path, train: Path) -> int:
    """Select the usual way. Return the number of examples."""
    import pandas
    import pyarrow.parquet

    examples = []
    for item in pyarrow.parquet.read_table(rollout).to_pylist():
        truth = json.loads(item["reward_model"]["ground_truth"])
        right = [
            reason == "stop" and usual_answer(text) == truth["ref_output"]
            for text, reason in zip(item["responses"], item["finish_reasons"])
        ]
        if all(right):
            continue
        for text, keep in zip(item["responses"], right):
            if keep:
                example = {key: item[key] for key in ("data_source", "prompt", "ability", "reward_model", "extra_info")}
                examples.append({**example, "response": text})
    pandas.DataFrame(examples).to_parquet(train)
    return len(examples)


def watched(work: Callable[[], None]) -> tuple[float, int]:
    """Return the seconds of the work, and the peak memory of this process and its children together, sampled 20 times a second."""
    me, peak, done = psutil.Process(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak = max(peak, total)

    thread = threading.Thread(target=watch)
    thread.start()
    started = time.perf_counter()
    try:
        work()
    finally:
        seconds = time.perf_counter() - started
        done.set()
        thread.join()
    return seconds, max(peak, peak_bytes())


def selection(config: Config) -> SelectionSpec:
    """Return what Stage 1 selects its training examples by."""
    answer_rule, template = config.scoring.answer_rule, config.problems.template
    return SelectionSpec(selection=part(Selection, config.stage1.rft), answer_rule=answer_rule, template=template)


def run(way: str, folder: Path, workers: int) -> None:
    """Select one way in this process and print its figures."""
    if way == "usual":
        seconds, peak = watched(lambda: usual(folder / "small.parquet", folder / "usual.parquet"))
    else:
        from fofg.rft.selection import select

        spec = selection(load(read([DEFAULT])))
        paths = [folder / name for name in ("rollout.parquet", "train.parquet", "test.parquet", "selection.json")]
        seconds, peak = watched(lambda: select(spec, *paths, workers=workers))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak}))


def measure(way: str, folder: Path, workers: int) -> dict:
    """Run one way in its own process, to measure its memory."""
    print(f"measuring: {way}", file=sys.stderr)
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder), "--workers", str(workers)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--problems", type=int, default=50_000, help="problems in the file (default: 50,000)")
    arguments.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes that score (default: 2)")
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--way", choices=["ours", "usual"], help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.way:
        return run(options.way, options.folder, options.workers)
    with tempfile.TemporaryDirectory(prefix="fofg-rft-") as name:
        folder, template = Path(name), load(read([DEFAULT])).problems.template
        small = max(1, options.problems // 10)
        rollouts(folder / "rollout.parquet", options.problems, template)
        rollouts(folder / "small.parquet", small, template)
        size = (folder / "rollout.parquet").stat().st_size
        ours, baseline = (measure(way, folder, options.workers) for way in ("ours", "usual"))
        kept = json.loads((folder / "selection.json").read_text())["responses"]["kept"]
    rate, usual_rate = options.problems * SAMPLES / ours["seconds"], small * SAMPLES / baseline["seconds"]
    report(
        "rft",
        responses=options.problems * SAMPLES,
        kept=kept,
        file_bytes=size,
        workers=options.workers,
        seconds=round(ours["seconds"], 2),
        cpu_seconds=round(ours["cpu_seconds"], 2),
        responses_per_second=round(rate),
        peak_bytes=ours["peak_bytes"],
        usual_responses_per_second=round(usual_rate),
        usual_peak_bytes_for_a_tenth=baseline["peak_bytes"],
        ratio=round(rate / usual_rate, 2),
        targets=TARGETS,
    )


if __name__ == "__main__":
    main()

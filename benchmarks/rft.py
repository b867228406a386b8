"""Measure the selection of RFT data: responses per second and peak memory, against the usual way on a tenth of the data.

Makes a rollout file (10 responses of 1 KB per problem, half of them correct) in a temporary folder, selects from it with the
library, then does the same the usual way: everything in memory as Python rows, a character loop that finds the answer, pandas to
write. The last line on standard output is one JSON object.
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
import yaml

from fofg.config import Config, Selection, load
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


def settings(turns: int):
    values = yaml.safe_load((Path(__file__).parents[1] / "config/default.yaml").read_text(encoding="utf-8"))
    values["stage1"]["rft"]["turns_per_example"] = turns
    return load(values)


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
            "expression": truth["expression"],
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
    """Select in the usual way: all rows in memory, one character loop per response, a data frame at the end."""
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


def usual_answer(text: str):
    stack: list[int] = []
    last = None
    for i, character in enumerate(text):
        if character == "{":
            stack.append(i)
        elif character == "}" and stack:
            start = stack.pop()
            if not stack:
                last = text[start : i + 1]
    try:
        return json.loads(last or "").get("output")
    except ValueError:
        return None


def watched(work: Callable[[], None]) -> tuple[float, int]:
    """Return the seconds of the work, and peak resident bytes of this process and its children, sampled 20 times per second."""
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
    return seconds, max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def selection(config: Config) -> SelectionSpec:
    """Return the spec of Stage 1's selection."""
    answer_rule, template = config.scoring.answer_rule, config.problems.template
    return SelectionSpec(selection=part(Selection, config.stage1.rft), answer_rule=answer_rule, template=template)


def measure_here(way: str, folder: Path, options: argparse.Namespace) -> None:
    """Measure one way in this process and print its figures; the parent starts one process for each."""
    if way == "usual":
        seconds, peak = watched(lambda: usual(folder / "small.parquet", folder / "usual.parquet"))
    else:
        from fofg.rft.selection import select

        spec = selection(settings(options.turns))
        paths = [folder / name for name in ("rollout.parquet", "train.parquet", "test.parquet", "selection.json")]
        seconds, peak = watched(lambda: select(spec, *paths, workers=options.workers))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak}))


def measure(way: str, folder: Path, options: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder), "--turns", str(options.turns)]
    command += ["--workers", str(options.workers)]
    print(f"measuring: {way}", file=sys.stderr)
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=50_000, help="problems in the file (default: 50,000)")
    parser.add_argument("--turns", type=int, default=1, help="turns_per_example (default: 1)")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes that score (default: 2)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=["ours", "usual"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        return measure_here(options.way, options.folder, options)
    with tempfile.TemporaryDirectory(prefix="fofg-rft-") as name:
        folder, template = Path(name), settings(options.turns).problems.template
        rollouts(folder / "rollout.parquet", options.problems, template)
        rollouts(folder / "small.parquet", max(1, options.problems // 10), template)
        size = (folder / "rollout.parquet").stat().st_size
        ours, baseline = measure("ours", folder, options), measure("usual", folder, options)
        kept = json.loads((folder / "selection.json").read_text())["responses"]["kept"]
    rate = options.problems * SAMPLES / ours["seconds"]
    usual_rate = max(1, options.problems // 10) * SAMPLES / baseline["seconds"]
    figures = {
        "responses": options.problems * SAMPLES,
        "kept": kept,
        "file_bytes": size,
        "workers": options.workers,
        "turns_per_example": options.turns,
        "seconds": round(ours["seconds"], 2),
        "cpu_seconds": round(ours["cpu_seconds"], 2),
        "load_average": round(os.getloadavg()[0], 1),
        "responses_per_second": round(rate),
        "peak_bytes": ours["peak_bytes"],
        "usual_responses_per_second": round(usual_rate),
        "usual_peak_bytes_for_a_tenth": baseline["peak_bytes"],
        "ratio": round(rate / usual_rate, 2),
        "targets": TARGETS,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

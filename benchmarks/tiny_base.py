"""Measure accuracy by level, definitions visible and hidden, on problems of all 25 functions from the balanced sampler.

The embedded base is meant to solve 30 to 80% of Level 1 with visible definitions, so that rejection sampling has something to do.
One response per problem, temperature 1.0; the other settings are those of config/default.yaml. From Level 2 on, ``worked`` is the
share of responses with a line for each call, right or wrong: how often the model chooses to compose.
"""

import argparse
import os
import sys
from pathlib import Path

from measuring import parser, report

ROOT = Path(__file__).parents[1]
TARGET = (0.3, 0.8)


def arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--model", type=Path, default=ROOT / "resources/tiny-base", help="default: resources/tiny-base")
    options.add_argument("--problems", type=int, default=256, help="problems per level (default: 256)")
    options.add_argument("--levels", type=int, default=3, help="highest level (default: 3)")
    options.add_argument("--integers", type=int, default=0, help="Countdown problems: most integers (default: none)")
    options.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all)")
    return options.parse_args()


def shares(engine, task, problems: list, template: str, definitions: bool, level: int) -> tuple[float, float]:
    """Return the shares of problems whose one response is correct, and has a line for each of ``level`` calls."""
    from fofg.rollouts.engine import Request
    from fofg.tasks.task import Outcome

    requests = [Request(task.prompt(problem, template, definitions), (seed,)) for seed, problem in enumerate(problems)]
    correct = worked = 0
    for number, _, sample in engine.generate(requests):
        outcome = task.grade(problems[number], sample.text, truncated=sample.finish_reason == "length")
        correct += outcome is Outcome.CORRECT
        worked += sample.text.count(" -> ") >= level
    return correct / len(problems), worked / len(problems)


def main() -> None:
    given = arguments()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    import yaml

    from fofg import config
    from fofg.rollouts.engine import create
    from fofg.tasks import task as tasks
    from fofg.tasks.task import Split

    torch.set_num_threads(given.threads)
    with open(ROOT / "config/default.yaml", encoding="utf-8") as file:
        settings = config.load(yaml.safe_load(file))
    engine = create("transformers", given.model, settings.evaluation.rollouts.model_copy(update={"temperature": 1.0}))
    result = {"model": given.model.name, "problems": given.problems, "target_level_1_visible": TARGET}

    def measure(name: str, section, stage: int, level: int, definitions: bool) -> None:
        task = tasks.load(section.task)
        problems = list(task.sample(section, Split("levels", stage, "test", [(level, given.problems)])))
        correct, worked = shares(engine, task, problems, section.template, definitions, level)
        result[name] = round(correct, 3)
        if level > 1 and section is settings.problems:
            result[f"{name}_worked"] = round(worked, 3)
        print(f"{name}: {correct:.3f} correct, {worked:.3f} worked", file=sys.stderr)

    for level in range(1, given.levels + 1):
        for shown in ("visible", "hidden"):
            measure(f"level_{level}_{shown}", settings.problems, 1, level, shown == "visible")
    for level in range(2, given.integers + 1):
        measure(f"countdown_{level}", settings.countdown.problems(), 1, level, False)
    report("tiny_base", **result)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Measure responses scored per second on one core, compared with the usual loop over characters in the same run.

Ordinary: about 1,000 characters of reasoning, then the answer object. Varied: also fences, several objects, LaTeX, stray braces,
answers cut off or missing. The loop follows the published rule too; both must give the same verdicts.
"""

import argparse
import json
import random
import string
import sys
import time
from collections.abc import Callable

from fofg.tasks.strings.grading import grade
from fofg.tasks.task import Outcome

TARGET = 200_000

REASONING = (
    "first we apply the inner call to the input so that each character moves then take this result and pass it on step by step "
    "it reverses doubles rotates removes vowels joins both halves next the outer function gives a longer string therefore"
)
STEPS = '{{"step": 1, "value": "ab"}} {{"step": 2, "value": "ba"}}'

#: Kind of response -> weight among varied ones, frame around reasoning (two halves) and answer (JSON text).
FRAMES = {
    "plain": (8, '{head}{tail}\n{{"output": {answer}}}'),
    "spaced": (2, '{head}{tail}\n{{\n  "output": {answer}\n}}\n'),
    "fence": (3, '{head}{tail}\n```json\n{{"output": {answer}}}\n```'),
    "several objects": (3, "{head}" + STEPS + '{tail} {{"output": {answer}}}'),
    "text after": (1, '{head} {{"output": {answer}}} {tail}'),
    "boxed": (1, '{head}{tail} \\boxed{{{{"output": {answer}}}}}'),
    "escaped braces": (1, '{head}{tail} $\\{{"output": {answer}\\}}$'),
    "stray brace": (1, '{head} {{ {tail} {{"output": {answer}}}'),
    "no object": (1, "{head}{tail} The result is {answer}"),
    "cut off": (1, '{head}{tail} {{"output": {answer}'),
    "not JSON": (1, "{head}{tail} {{'output': {answer}, }}"),
}


def corpus(count: int, kinds: list[str], seed: int) -> list[tuple[str, str]]:
    """Return ``count`` (response, truth) pairs of about 1,000 characters; six answers in ten are correct."""
    draw = random.Random(seed)
    words = REASONING.split()
    weights = [FRAMES[kind][0] for kind in kinds]
    pairs = []
    for kind in draw.choices(kinds, weights, k=count):
        truth = "".join(draw.choices(string.ascii_letters, k=draw.randint(5, 60)))
        answer = truth if draw.random() < 0.6 else truth[::-1]
        reasoning = " ".join(draw.choices(words, k=240))[: 980 - len(answer)]
        middle = draw.randint(0, len(reasoning))
        frame = FRAMES[kind][1]
        pairs.append((frame.format(head=reasoning[:middle], tail=reasoning[middle:], answer=json.dumps(answer)), truth))
    return pairs


def loop_score(response: str, truth: str) -> Outcome:
    """Apply the published rule in the usual way: a loop over characters with a stack, then json.loads."""
    value = loop_object(loop_place(response))
    if value is None:
        plain = response.replace("\\{", "{").replace("\\}", "}").replace("(", "[").replace(")", "]")
        value = loop_object(loop_place(plain)) or loop_object(loop_boxed(plain))
    if value is None or "output" not in value:
        return Outcome.NO_ANSWER
    return Outcome.CORRECT if value["output"] == truth else Outcome.WRONG


def loop_object(text: str) -> dict | None:
    try:
        value = json.loads(text.replace("\n", ""))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def loop_place(text: str) -> str:
    if "```json" in text:
        content = text.split("```json")[-1]
        return content[: content.find("```")]
    stack, last = [], ""
    for index, character in enumerate(text):
        if character == "{":
            stack.append(index)
        elif character == "}" and stack:
            start = stack.pop()
            if not stack:
                last = text[start : index + 1]
    return last


def loop_boxed(text: str) -> str:
    if "\\boxed{" not in text:
        return ""
    content = text.split("\\boxed{")[-1]
    return loop_place(content[: content.rfind("}")].replace("\\left", "").replace("\\right", ""))


def rate(scorer: Callable, pairs: list[tuple[str, str]]) -> float:
    """Return responses per second of processor time."""
    start = time.process_time()
    for response, truth in pairs:
        scorer(response, truth)
    return len(pairs) / (time.process_time() - start)


def measure(pairs: list[tuple[str, str]], repeats: int) -> dict:
    """Return the best rates of several rounds, alternating the two ways. Exit if their verdicts differ."""
    differing = sum(grade(*pair) != loop_score(*pair) for pair in pairs)
    if differing:
        sys.exit(f"error: the two ways differ on {differing} of {len(pairs)} responses")
    rates = [(rate(grade, pairs), rate(loop_score, pairs)) for _ in range(repeats)]
    ours, loop = (max(column) for column in zip(*rates))
    outcomes = [grade(*pair) for pair in pairs]
    return {
        "responses_per_second": round(ours),
        "loop_responses_per_second": round(loop),
        "ratio": round(ours / loop, 2),
        "mean_characters": round(sum(len(response) for response, _ in pairs) / len(pairs)),
        "correct": outcomes.count(Outcome.CORRECT),
        "no_answer": outcomes.count(Outcome.NO_ANSWER),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--responses", type=int, default=20_000, help="responses in each of the two sets (default: %(default)s)")
    arguments.add_argument("--repeats", type=int, default=5, help="rounds; the best counts (default: %(default)s)")
    arguments.add_argument("--seed", type=int, default=1, help="of the two sets (default: %(default)s)")
    options = arguments.parse_args()
    results = {"benchmark": "scoring", "responses": options.responses}
    for name, kinds in (("ordinary", ["plain"]), ("varied", list(FRAMES))):
        print(f"{name}: {options.responses} responses, {options.repeats} rounds", file=sys.stderr)
        results[name] = measure(corpus(options.responses, kinds, options.seed), options.repeats)
    results["target_responses_per_second"] = TARGET
    results["met"] = results["ordinary"]["responses_per_second"] >= TARGET
    print(json.dumps(results))


if __name__ == "__main__":
    main()

"""Responses graded per second on one core, beside a loop over their characters in the same run.

A response is about 1,000 characters of reasoning, then the answer as a JSON object. Both ways must give the same outcomes.
"""

import json
import random
import string
import sys

from measuring import parser, rates, report

from fofg.tasks.strings.grading import grade
from fofg.tasks.task import Outcome

TARGET = 200_000
REASONING = (
    "first we apply the inner call to the input so that each character moves then take this result and pass it on step by step "
    "it reverses doubles rotates removes vowels joins both halves next the outer function gives a longer string therefore"
)


def responses(count: int, seed: int) -> list[tuple[str, str]]:
    """Return (response, correct answer) pairs; six answers in ten are correct."""
    draw = random.Random(seed)
    words, pairs = REASONING.split(), []
    for _ in range(count):
        truth = "".join(draw.choices(string.ascii_letters, k=draw.randint(5, 60)))
        answer = json.dumps({"output": truth if draw.random() < 0.6 else truth[::-1]})
        reasoning = " ".join(draw.choices(words, k=240))[: 980 - len(truth)]
        pairs.append((f"{reasoning}\n{answer}", truth))
    return pairs


def usual_answer(text: str) -> str | None:
    """Return the output in the last JSON object of a response, found by a loop over characters with a stack."""
    stack: list[int] = []
    last = ""
    for index, character in enumerate(text):
        if character == "{":
            stack.append(index)
        elif character == "}" and stack:
            start = stack.pop()
            if not stack:
                last = text[start : index + 1]
    try:
        return json.loads(last).get("output")
    except ValueError:
        return None


def usual_grade(response: str, truth: str) -> Outcome:
    answer = usual_answer(response)
    if answer is None:
        return Outcome.NO_ANSWER
    return Outcome.CORRECT if answer == truth else Outcome.WRONG


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--responses", type=int, default=20_000, help="number of responses (default: %(default)s)")
    arguments.add_argument("--repeats", type=int, default=5, help="rounds; the best counts (default: %(default)s)")
    arguments.add_argument("--seed", type=int, default=1, help="seed of the responses (default: %(default)s)")
    options = arguments.parse_args()
    pairs = responses(options.responses, options.seed)
    ways = {"ours": lambda: [grade(*pair) for pair in pairs], "usual": lambda: [usual_grade(*pair) for pair in pairs]}
    outcomes, usual = (way() for way in ways.values())
    if outcomes != usual:
        sys.exit("error: the two ways differ")
    found = rates(ways, len(pairs), options.repeats)
    report(
        "scoring",
        responses=len(pairs),
        mean_characters=round(sum(len(response) for response, _ in pairs) / len(pairs)),
        correct=outcomes.count(Outcome.CORRECT),
        responses_per_second=found["ours"],
        loop_responses_per_second=found["usual"],
        ratio=round(found["ours"] / found["usual"], 2),
        target_responses_per_second=TARGET,
        met=found["ours"] >= TARGET,
    )


if __name__ == "__main__":
    main()

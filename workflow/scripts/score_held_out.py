"""Score a model's sampled and greedy responses to the evaluation's problems: is there an answer, and is it correct."""

import sys

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_spec
from fofg.specs import AnswerRule


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, answer_rule=AnswerRule)
    arguments.add_argument(
        "--rollouts", required=True, nargs="+", metavar="DECODING=PARQUET", help="rollouts, sampled=FILE and, if any, greedy=FILE"
    )
    arguments.add_argument("--output", required=True, metavar="PARQUET", help="verdicts, a row per response")
    options = arguments.parse_args()
    from fofg.evaluation.held_out import judge

    done = judge(options.rollouts, options.output, options.spec.answer_rule)
    write_spec(options.output, options.spec)
    print(f"{done.samples} responses to {done.problems} prompts; {done.skipped} prompts without a response", file=sys.stderr)


if __name__ == "__main__":
    run(main)

"""Score rollouts: does each response have an answer, and is it correct."""

import sys

from fofg.cli import add_spec, parser, run
from fofg.specs import AnswerRule


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, answer_rule=AnswerRule)
    arguments.add_argument("--rollouts", required=True, metavar="PARQUET", help="rollouts, a row per problem")
    arguments.add_argument("--output", required=True, metavar="PARQUET", help="verdicts, a row per response")
    options = arguments.parse_args()
    from fofg.evaluation.accuracy import judge

    done = judge(options.rollouts, options.output, options.spec.answer_rule)
    print(f"{done.samples} responses to {done.problems} problems; {done.skipped} problems without a response", file=sys.stderr)


if __name__ == "__main__":
    run(main)

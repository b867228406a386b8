"""Classify the responses to problems of some levels: correct, or what went wrong."""

import sys

from fofg.cli import add_spec, parser, run
from fofg.config import AnswerRule
from fofg.config.types import Levels
from fofg.data.files import write_spec


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, levels=Levels, answer_rule=AnswerRule)
    arguments.add_argument("--rollouts", required=True, metavar="PARQUET", help="rollouts, a row per problem")
    arguments.add_argument("--output", required=True, metavar="PARQUET", help="classes, a row per response")
    options = arguments.parse_args()
    from fofg.evaluation.failures import classify_file

    counts = classify_file(options.rollouts, options.output, options.spec.levels, options.spec.answer_rule)
    write_spec(options.output, options.spec)
    print(f"{counts.total()} responses: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()), file=sys.stderr)


if __name__ == "__main__":
    run(main)

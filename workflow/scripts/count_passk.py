"""Count the correct responses to each problem in the rollouts of all shards."""

import sys

from fofg.cli import add_spec, parser, run
from fofg.config import AnswerRule
from fofg.data.files import write_spec


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, answer_rule=AnswerRule)
    arguments.add_argument("--rollouts", required=True, nargs="+", metavar="PARQUET", help="rollouts, every shard once")
    arguments.add_argument("--output", required=True, metavar="PARQUET", help="counts, a row per problem")
    options = arguments.parse_args()
    from fofg.evaluation.verdicts import write_counts

    problems = write_counts(options.rollouts, options.output, options.spec.answer_rule)
    write_spec(options.output, options.spec)
    print(f"{problems} problems counted", file=sys.stderr)


if __name__ == "__main__":
    run(main)

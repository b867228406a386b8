"""Score rollouts: does each response have an answer, and is it correct?"""

import sys

from fofg.cli import add_spec, parser, run
from fofg.config import AnswerRule
from fofg.data.files import write_spec


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, answer_rule=AnswerRule)
    arguments.add_argument("--rollouts", required=True, nargs="+", metavar="PARQUET", help="rollouts, a row per problem")
    arguments.add_argument("--decodings", nargs="*", default=[], help="how each file was decoded (sampled, greedy): a column")
    arguments.add_argument("--output", required=True, metavar="PARQUET", help="verdicts, a row per response")
    options = arguments.parse_args()
    from fofg.evaluation.verdicts import write_verdicts

    totals = write_verdicts(options.rollouts, options.output, options.spec.answer_rule, options.decodings)
    if options.decodings:
        write_spec(options.output, options.spec)
    print(f"{totals.samples} responses to {totals.problems} prompts; {totals.skipped} prompts skipped", file=sys.stderr)


if __name__ == "__main__":
    run(main)

"""Write a page of responses (HTML) to filter and to compare: of each model, to the first problems of each level."""

from fofg.cli import add_files, add_spec, parser, run
from fofg.config import AnswerRule, Samples
from fofg.data.files import write_text


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, Samples, answer_rule=AnswerRule)
    add_files(arguments, "--rollouts", "MODEL/SET=PARQUET", "rollouts of each model on each set of problems")
    arguments.add_argument("--tested", required=True, metavar="TITLE", help="what the problems of the evaluation test")
    arguments.add_argument("--output", required=True, metavar="HTML", help="the page to write")
    options = arguments.parse_args()
    from fofg.report.samples_page import page

    write_text(options.output, page(options.rollouts, options.spec.problems, options.spec.answer_rule, options.tested))


if __name__ == "__main__":
    run(main)

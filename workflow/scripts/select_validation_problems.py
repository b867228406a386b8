"""Choose the held-out problems that reinforcement learning is measured on while it trains."""

from fofg import cli
from fofg.stages import SelectValidation


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_spec(parser, SelectValidation)
    parser.add_argument("--problems", metavar="PARQUET", help="problems to choose from; without, none are chosen")
    parser.add_argument("--output", required=True, metavar="PARQUET", help="the chosen problems, a row each")
    arguments = parser.parse_args()
    from fofg.problems import validation

    validation.select(arguments.spec, arguments.problems, arguments.output)


if __name__ == "__main__":
    cli.run(main)

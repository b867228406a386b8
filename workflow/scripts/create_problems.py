"""Sample the problems of one split of a dataset, or of a part of it, into a Parquet file."""

from fofg import cli
from fofg.data import datasets, files
from fofg.specs import ProblemsSpec


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_spec(parser, ProblemsSpec)
    parser.add_argument("--output", required=True, help="Parquet file; its spec is written beside it as NAME.spec.json")
    arguments = parser.parse_args()
    datasets.write(arguments.output, arguments.spec)
    files.write_spec(arguments.output, arguments.spec)


if __name__ == "__main__":
    cli.run(main)

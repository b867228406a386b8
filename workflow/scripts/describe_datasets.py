"""Describe datasets: rows by level, depth, calls, lengths, exposure by function, duplicates, overlap with other files."""

from fofg import cli


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_spec(parser, disjoint=bool)
    cli.add_files(parser, "--files", "NAME/SPLIT=PARQUET", "problems: train or test of each")
    cli.add_files(parser, "--outputs", "NAME=JSON", "the description of each dataset")
    arguments = parser.parse_args()
    from fofg.data import description

    description.describe(arguments.files, arguments.outputs, arguments.spec.disjoint)


if __name__ == "__main__":
    cli.run(main)

"""Merge training examples of several sources into one file per split, shuffled, with a column that names each row's source."""

import sys

from fofg import cli


def main() -> None:
    arguments = cli.parser(__doc__)
    cli.add_spec(arguments, strings=int | None, countdown=int | None, seed=int)
    cli.add_files(arguments, "--train", "SOURCE=PARQUET", "training examples; the spec has their numbers (null: all)")
    cli.add_files(arguments, "--test", "SOURCE=PARQUET", "examples held back, all of which are merged")
    arguments.add_argument("--outputs", required=True, nargs=2, metavar="PARQUET", help="training examples, and those held back")
    options = arguments.parse_args()
    from fofg.rft.merge import merge

    counts = options.spec.model_dump()
    train = merge(options.train, counts, counts["seed"], options.outputs[0])
    merge(options.test, dict.fromkeys(options.test), counts["seed"], options.outputs[1])
    print("; ".join(f"{rows:,} examples of {source}" for source, rows in train.items()), file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)

"""Gathers the shards of a training split in one Parquet file."""

from fofg import cli, files
from fofg.errors import UserError
from fofg.problems import datasets
from fofg.stages import GatherProblems


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_spec(parser, GatherProblems)
    parser.add_argument("--shards", nargs="+", required=True, metavar="PARQUET", help="all shards, in order")
    parser.add_argument("--output", required=True, metavar="PARQUET", help="the split; its spec is written beside it")
    arguments = parser.parse_args()
    if len(arguments.shards) != arguments.spec.shards:
        raise UserError(f"--shards: {len(arguments.shards)} given, {arguments.spec.shards} expected; give all of them")
    datasets.gather(arguments.output, arguments.shards)
    files.write_spec(arguments.output, arguments.spec)


if __name__ == "__main__":
    cli.run(main)

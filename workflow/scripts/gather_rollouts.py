"""Join the rollouts of all shards."""

import sys

from fofg import cli

DESCRIPTION = "Join the rollouts of all shards, in the order of the problems, and check that none is missing."


def main() -> None:
    arguments = cli.parser(DESCRIPTION)
    cli.add_spec(arguments, shards=int)
    arguments.add_argument(
        "--shards", required=True, nargs="+", metavar="PARQUET", help="files of generate_rollouts.py, in any order"
    )
    arguments.add_argument("--output", required=True, metavar="PARQUET")
    options = arguments.parse_args()
    from fofg.rollouts.gather import gather

    rows = gather(options.shards, options.spec.shards, options.output)
    print(f"{rows} problems", file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)

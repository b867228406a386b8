"""Cut the problems of one iteration of rejection fine-tuning out of all problems, shuffled."""

from fofg import cli
from fofg.data import files


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_spec(parser, iteration=int, size=int, seed=int | None)
    parser.add_argument("--problems", required=True, metavar="PARQUET", help="all problems, a row each")
    parser.add_argument("--iterations", required=True, type=int, metavar="N", help="chunks in all, for which there must be rows")
    parser.add_argument("--output", required=True, metavar="PARQUET", help="the chunk; its spec is written beside it")
    arguments = parser.parse_args()
    from fofg.data import chunks

    spec = arguments.spec
    chunks.write(arguments.output, arguments.problems, spec.iteration, spec.size, spec.seed, arguments.iterations)
    files.write_spec(arguments.output, spec)


if __name__ == "__main__":
    cli.run(main)

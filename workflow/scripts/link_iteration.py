"""Gives files of the last iteration their final names, by relative symbolic links."""

from fofg import cli
from fofg.stages import LinkIteration


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_spec(parser, LinkIteration)
    parser.add_argument(
        "--pairs", required=True, nargs="+", metavar="TARGET=LINK", help="a file, and the name that it gets besides"
    )
    arguments = parser.parse_args()
    from fofg.rft import links

    links.publish(map(links.read_pair, arguments.pairs))


if __name__ == "__main__":
    cli.run(main)

"""Link the files of the last iteration under their final names, by relative symbolic links."""

from pathlib import Path

from fofg import cli


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--targets", required=True, nargs="+", metavar="FILE", help="files of the last iteration")
    parser.add_argument("--links", required=True, nargs="+", metavar="FILE", help="a second name for each, in the same order")
    options = parser.parse_args()
    from fofg.rft import links

    links.publish(zip(map(Path, options.targets), map(Path, options.links), strict=True))


if __name__ == "__main__":
    cli.run(main)

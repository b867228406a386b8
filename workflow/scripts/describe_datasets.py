"""Describes datasets: rows by level, depth, calls, lengths, exposure by function, duplicates, overlap with other files."""

from fofg import cli
from fofg.errors import UserError


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_spec(parser, disjoint=bool)
    parser.add_argument("--files", required=True, nargs="+", metavar="NAME/SPLIT=PARQUET", help="problems: train or test of each")
    parser.add_argument("--outputs", required=True, nargs="+", metavar="NAME=JSON", help="the description of each dataset")
    arguments = parser.parse_args()
    from fofg.data import description

    files, outputs = _paths("--files", arguments.files), _paths("--outputs", arguments.outputs)
    description.describe(files, outputs, arguments.spec)


def _paths(argument: str, pairs: list[str]) -> dict[str, str]:
    paths = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        if not path or name in paths:
            raise UserError(f"{argument}: {pair!r} is " + ("there twice" if name in paths else "not of the form NAME=FILE"))
        paths[name] = path
    return paths


if __name__ == "__main__":
    cli.run(main)

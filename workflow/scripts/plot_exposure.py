"""Figure of how often each function occurs in each dataset."""

from fofg.cli import add_spec, parser, run
from fofg.config import Figures


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, Figures)
    arguments.add_argument("--datasets", required=True, nargs="+", metavar="FILE", help="what describe_datasets.py wrote")
    arguments.add_argument("--stem", required=True, help="path of the figure without its extension")
    options = arguments.parse_args()
    from fofg.report.exposure import plot

    plot(options.datasets, options.stem, options.spec)


if __name__ == "__main__":
    run(main)

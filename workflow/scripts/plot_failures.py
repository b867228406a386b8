"""Figure of the classes of responses by model and level."""

from fofg.cli import add_spec, parser, run
from fofg.config import Figures


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, Figures)
    arguments.add_argument("--failures", required=True, help="table that summarize_failures.py wrote (Parquet)")
    arguments.add_argument("--stem", required=True, help="path of the figure without its extension")
    options = arguments.parse_args()
    from fofg.report.failures import plot

    plot(options.failures, options.stem, options.spec)


if __name__ == "__main__":
    run(main)

"""Figure of accuracy by model, definitions visible and hidden."""

from fofg.cli import add_spec, parser, run
from fofg.config import Figures


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, Figures)
    arguments.add_argument("--accuracy", required=True, help="table that summarize_accuracy.py wrote (CSV)")
    arguments.add_argument("--stem", required=True, help="path of the figure without its extension")
    options = arguments.parse_args()
    from fofg.report.accuracy import plot

    plot(options.accuracy, options.stem, options.spec)


if __name__ == "__main__":
    run(main)

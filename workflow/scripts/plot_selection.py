"""Figure of selected RFT data: responses kept and dropped by reason, exposure by function."""

from fofg.cli import add_spec, parser, run
from fofg.config import Figures


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, Figures)
    arguments.add_argument("--selection", required=True, help="summary that select_rft_data.py wrote")
    arguments.add_argument("--stem", required=True, help="path of the figure without its extension")
    options = arguments.parse_args()
    from fofg.report.selection import plot

    plot(options.selection, options.stem, options.spec)


if __name__ == "__main__":
    run(main)

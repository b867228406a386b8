"""Figure of pass@k by level and model."""

from fofg.cli import add_spec, parser, run
from fofg.config import Figures


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, Figures)
    arguments.add_argument("--passk", required=True, help="table that summarize_passk.py wrote (Parquet)")
    arguments.add_argument("--stem", required=True, help="path of the figure without its extension")
    options = arguments.parse_args()
    from fofg.report.passk import plot

    plot(options.passk, options.stem, options.spec)


if __name__ == "__main__":
    run(main)

"""Figure of reinforcement learning by step, and of RFT by iteration."""

from fofg.cli import add_spec, parser, run
from fofg.config import Figures


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, Figures)
    arguments.add_argument("--rl", required=True, nargs="+", metavar="MODEL=FILE", help="metrics.jsonl of each run")
    arguments.add_argument("--accuracy", required=True, help="table that summarize_evaluation.py wrote (Parquet)")
    arguments.add_argument("--stem", required=True, help="path of the figure without its extension")
    options = arguments.parse_args()
    from fofg.report.learning import plot

    plot(options.rl, options.accuracy, options.stem, options.spec)


if __name__ == "__main__":
    run(main)

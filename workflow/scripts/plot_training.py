"""Figure of a training run: loss and learning rate by step."""

from fofg.cli import add_spec, parser, run
from fofg.config import Figures


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, Figures)
    arguments.add_argument("--metrics", required=True, help="metrics.jsonl of a training run")
    arguments.add_argument("--stem", required=True, help="path of the figure without its extension")
    options = arguments.parse_args()
    from fofg.report.training import plot

    plot(options.metrics, options.stem, options.spec)


if __name__ == "__main__":
    run(main)

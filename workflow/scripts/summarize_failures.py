"""Table: how many responses of every model at each level are of each class, and their share."""

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_spec


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, models=list[str])
    arguments.add_argument(
        "--failures", required=True, nargs="+", metavar="MODEL=PARQUET", help="classes of every model's responses"
    )
    arguments.add_argument("--parquet", required=True, help="table to write, a row per model, level and class")
    arguments.add_argument("--csv", required=True, help="the same as CSV")
    options = arguments.parse_args()
    from fofg.data.schemas import FAILURE_SHARES
    from fofg.evaluation.failures import summarize
    from fofg.evaluation.tables import write_table

    write_table(options.parquet, options.csv, FAILURE_SHARES, summarize(options.spec.models, options.failures))
    write_spec(options.parquet, options.spec)


if __name__ == "__main__":
    run(main)

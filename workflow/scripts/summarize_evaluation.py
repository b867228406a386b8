"""Table: accuracy on held-out functions by model, decoding and level, with 95% Wilson intervals over problems."""

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_spec


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, models=list[str])
    arguments.add_argument("--verdicts", required=True, nargs="+", metavar="MODEL=PARQUET", help="verdicts of every model")
    arguments.add_argument("--parquet", required=True, help="table to write, a row per model, decoding and level")
    arguments.add_argument("--csv", required=True, help="the same as CSV")
    options = arguments.parse_args()
    from fofg.data.schemas import ACCURACY
    from fofg.evaluation.held_out import summarize
    from fofg.evaluation.tables import write_table

    write_table(options.parquet, options.csv, ACCURACY, summarize(options.spec.models, options.verdicts))
    write_spec(options.parquet, options.spec)


if __name__ == "__main__":
    run(main)

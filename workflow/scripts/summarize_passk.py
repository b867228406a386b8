"""Table: pass@k by model, level and k, with 95% intervals over problems."""

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_spec


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, models=list[str])
    arguments.add_argument("--counts", required=True, nargs="+", metavar="MODEL=PARQUET", help="counts of every model")
    arguments.add_argument("--parquet", required=True, help="table to write, a row per model, level and k")
    arguments.add_argument("--csv", required=True, help="the same as CSV")
    options = arguments.parse_args()
    from fofg.data.schemas import PASSK
    from fofg.evaluation.pass_at_k import summarize
    from fofg.evaluation.tables import write_table

    write_table(options.parquet, options.csv, PASSK, summarize(options.spec.models, options.counts))
    write_spec(options.parquet, options.spec)


if __name__ == "__main__":
    run(main)

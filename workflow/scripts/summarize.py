"""Make a table of results, as Parquet and CSV, from a file per model."""

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_spec, write_text

TABLES = ("accuracy", "passk", "failures")


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, models=list[str])
    arguments.add_argument("table", choices=TABLES, help="accuracy from verdicts, pass@k from counts, failures from classes")
    arguments.add_argument("files", nargs="+", metavar="PARQUET", help="a file per model of the spec, in the same order")
    arguments.add_argument("--parquet", required=True, help="table to write")
    arguments.add_argument("--csv", required=True, help="the same as CSV")
    arguments.add_argument("--markdown", help="of accuracy on Countdown: the same to read, with the paper's numbers")
    options = arguments.parse_args()
    from fofg.data import schemas
    from fofg.evaluation import accuracy, failures, pass_at_k, tables

    summarize, schema = {
        "accuracy": (accuracy.summarize_evaluation, schemas.ACCURACY),
        "passk": (pass_at_k.summarize, schemas.PASSK),
        "failures": (failures.summarize, schemas.FAILURE_SHARES),
    }[options.table]
    table = summarize(options.spec.models, options.files)
    tables.write(table, schema, options.parquet, options.csv)
    if options.markdown:
        from fofg.report import transfer

        write_text(options.markdown, transfer.table(options.spec.models, table))
    write_spec(options.parquet, options.spec)


if __name__ == "__main__":
    run(main, pandas=True)

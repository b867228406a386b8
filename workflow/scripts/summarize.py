"""Make a table of results, as Parquet and CSV, from a file per model and seed."""

from functools import partial

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_spec, write_text

#: Table -> its title.
TITLES = {
    "accuracy": "Accuracy by level",
    "splits": "Accuracy by split",
    "comparisons": "Comparisons",
    "passk": "pass@k by level",
    "failures": "Failures by level",
}


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, models=list[str], seeds=list[int])
    arguments.add_argument(
        "table",
        choices=TITLES,
        help="accuracy (also by split) and comparisons from verdicts, pass@k from counts, failures from classes",
    )
    arguments.add_argument("files", nargs="+", metavar="PARQUET", help="a file per model and seed of the spec, in the same order")
    arguments.add_argument("--parquet", required=True, help="table to write")
    arguments.add_argument("--csv", required=True, help="the same as CSV")
    arguments.add_argument("--page", required=True, metavar="HTML", help="the same as a page")
    arguments.add_argument(
        "--markdown", help="of comparisons, and of accuracy on Countdown with the paper's numbers: the same to read"
    )
    arguments.add_argument(
        "--splits", nargs="+", default=[], help="what each set of problems tests; a file of each per model, set by set"
    )
    options = arguments.parse_args()
    from fofg.data import schemas
    from fofg.evaluation import accuracy, comparisons, failures, pass_at_k, tables
    from fofg.report import pages

    summarize, schema = {
        "accuracy": (accuracy.summarize_evaluation, schemas.ACCURACY),
        "splits": (partial(accuracy.summarize_splits, options.splits), schemas.SPLIT_ACCURACY),
        "comparisons": (lambda models, files, _: comparisons.summarize(models, files), schemas.COMPARISONS),
        "passk": (pass_at_k.summarize, schemas.PASSK),
        "failures": (failures.summarize, schemas.FAILURE_SHARES),
    }[options.table]
    table = summarize(options.spec.models, options.files, options.spec.seeds)
    tables.write(table, schema, options.parquet, options.csv)
    page = pages.table_page(TITLES[options.table], table[schema.names])
    if options.markdown:
        from fofg.evaluation.seeds import over_seeds
        from fofg.report import differences, transfer

        if options.table == "comparisons":
            text = differences.page(table)
        else:
            mean = over_seeds(table, ["decoding", "level"], "accuracy")
            text = transfer.table(list(dict.fromkeys(options.spec.models)), mean)
        write_text(options.markdown, text)
        page = pages.text_page(TITLES[options.table], text)
    write_text(options.page, page)
    write_spec(options.parquet, options.spec)


if __name__ == "__main__":
    run(main, pandas=True)

"""Tables of accuracy by model, definitions (visible or hidden) and level, with 95% Wilson intervals."""

from fofg.cli import add_spec, parser, run


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, models=list[str])
    arguments.add_argument(
        "--verdicts", required=True, nargs="+", metavar="NAME=FILE", help="verdicts of model/visible or model/hidden"
    )
    arguments.add_argument("--train", required=True, metavar="PARQUET", help="training problems")
    arguments.add_argument("--test", required=True, metavar="PARQUET", help="the problems that were answered")
    arguments.add_argument("--csv", required=True, help="table to write, a line per model, definitions and level")
    arguments.add_argument("--markdown", required=True, help="the same to read, a column per model")
    options = arguments.parse_args()
    from fofg.data.description import trained_on
    from fofg.evaluation.accuracy import summarize_files, write_csv
    from fofg.report.tables import write_accuracy_table

    table = summarize_files(options.spec.models, options.verdicts, trained_on(options.test, options.train))
    write_csv(options.csv, table)
    write_accuracy_table(options.markdown, options.spec.models, table)
    with open(options.markdown, encoding="utf-8") as file:
        print(file.read())


if __name__ == "__main__":
    run(main)

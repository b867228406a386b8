"""Make the tables of Stage 1: accuracy by model, definitions (visible or hidden) and level, with 95% Wilson intervals."""

from itertools import product

from fofg.cli import add_spec, parser, run


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, models=list[str], seeds=list[int])
    arguments.add_argument(
        "files", nargs="+", metavar="PARQUET", help="verdicts with visible, then hidden definitions, per model and seed"
    )
    arguments.add_argument("--train", required=True, metavar="PARQUET", help="training problems")
    arguments.add_argument("--test", required=True, metavar="PARQUET", help="the problems that were answered")
    arguments.add_argument("--csv", required=True, help="table to write, a row per model, definitions and level")
    arguments.add_argument("--markdown", required=True, help="the same to read, a column per model")
    arguments.add_argument("--page", required=True, metavar="HTML", help="the latter as a page")
    options = arguments.parse_args()
    from fofg.data.description import trained_on
    from fofg.data.files import write_text
    from fofg.evaluation.accuracy import summarize_stage1
    from fofg.evaluation.seeds import over_seeds
    from fofg.report.markdown import stage1_accuracy
    from fofg.report.pages import text_page

    runs = list(zip(options.spec.models, options.spec.seeds, strict=True))
    verdicts = dict(zip([(*run, shown) for run, shown in product(runs, ("visible", "hidden"))], options.files, strict=True))
    table = summarize_stage1(verdicts, trained_on(options.test, options.train))
    write_text(options.csv, table.to_csv(index=False, lineterminator="\n"))
    text = stage1_accuracy(over_seeds(table, ["definitions", "level"], "accuracy"))
    write_text(options.markdown, text)
    write_text(options.page, text_page("Accuracy of Stage 1", f"# Accuracy of Stage 1\n\n{text}"))
    print(text)


if __name__ == "__main__":
    run(main, pandas=True)

"""Summarize the whole experiment: a table per question, the paper's numbers beside this run's."""

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_text


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, models=list[str], base_model=str, group=int)
    for table in ("accuracy", "comparisons", "passk", "failures"):
        arguments.add_argument(f"--{table}", required=True, metavar="PARQUET", help=f"results/{table}.parquet")
    arguments.add_argument("--dataset", required=True, help="description of the evaluation's problems (dataset.json)")
    arguments.add_argument("--metrics", required=True, nargs="+", metavar="FILE", help="metrics.jsonl in each RL model's folder")
    arguments.add_argument("--selections", required=True, nargs="+", metavar="FILE", help="selection.json of each RFT iteration")
    arguments.add_argument(
        "--fine-tuned", required=True, nargs="+", metavar="FILE", help="metrics.jsonl in each iteration's folder"
    )
    arguments.add_argument("--output", required=True, help="summary to write (Markdown)")
    arguments.add_argument("--page", required=True, metavar="HTML", help="the same as a page")
    options = arguments.parse_args()
    from fofg.report.pages import text_page
    from fofg.report.summary import summary

    spec, tables = options.spec, (options.accuracy, options.comparisons, options.passk, options.failures)
    costs = (options.metrics, options.selections, options.fine_tuned, spec.group)
    text = summary(spec.models, spec.base_model, *tables, options.dataset, *costs)
    write_text(options.output, text)
    write_text(options.page, text_page("Summary", text))


if __name__ == "__main__":
    run(main, pandas=True)

"""Summary of the whole experiment: a table a question, the paper's numbers beside this run's."""

from fofg.cli import add_spec, parser, run


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, models=list[str], base_model=str)
    arguments.add_argument("--accuracy", required=True, help="table that summarize_evaluation.py wrote (Parquet)")
    arguments.add_argument("--passk", required=True, help="table that summarize_passk.py wrote (Parquet)")
    arguments.add_argument("--failures", required=True, help="table that summarize_failures.py wrote (Parquet)")
    arguments.add_argument("--dataset", required=True, help="description of the evaluation's problems (dataset.json)")
    arguments.add_argument("--rl", required=True, nargs="+", metavar="MODEL=FILE", help="metrics.jsonl of each run")
    arguments.add_argument("--output", required=True, help="summary to write (Markdown)")
    options = arguments.parse_args()
    from fofg.report.summary import write_summary

    tables = (options.accuracy, options.passk, options.failures)
    write_summary(options.output, options.spec, *tables, options.dataset, options.rl)


if __name__ == "__main__":
    run(main)

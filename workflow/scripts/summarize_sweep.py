"""Make the table of a sweep from the tables of accuracy of its points."""

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_spec, write_text


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, points=list[dict[str, str]], dataset=str, splits=bool)
    arguments.add_argument("tables", nargs="+", metavar="PARQUET", help="accuracy of each point, in the order of the spec")
    arguments.add_argument("--csv", required=True, help="table to write")
    arguments.add_argument("--page", required=True, metavar="HTML", help="the same as a page")
    options = arguments.parse_args()
    from fofg.evaluation import sweep
    from fofg.report import pages

    table = sweep.summarize(options.spec.points, options.tables, options.spec.dataset, options.spec.splits)
    write_text(options.csv, table.to_csv(index=False, lineterminator="\n"))
    write_text(options.page, pages.table_page("Accuracy at every point of the sweep", table))
    write_spec(options.csv, options.spec)


if __name__ == "__main__":
    run(main, pandas=True)

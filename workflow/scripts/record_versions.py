"""Write a table of the versions of the packages that a run uses."""

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_text


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, packages=dict[str, str])
    arguments.add_argument("--output", required=True, help="table to write (Markdown)")
    arguments.add_argument("--page", required=True, metavar="HTML", help="the same as a page")
    options = arguments.parse_args()
    from fofg.report.pages import text_page
    from fofg.report.versions import versions_table

    text = versions_table(options.spec.packages)
    write_text(options.output, text)
    write_text(options.page, text_page("Versions", text))


if __name__ == "__main__":
    run(main)

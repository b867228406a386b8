"""Write a table of the versions of the packages that a run uses."""

from fofg.cli import add_spec, parser, run
from fofg.data.files import write_text


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, packages=dict[str, str])
    arguments.add_argument("--output", required=True, help="table to write (Markdown)")
    options = arguments.parse_args()
    from fofg.report.versions import versions_table

    write_text(options.output, versions_table(options.spec.packages))


if __name__ == "__main__":
    run(main)

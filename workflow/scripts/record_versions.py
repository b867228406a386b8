"""Table of the versions of the packages that a run uses."""

from fofg.cli import add_spec, parser, run


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, packages=dict[str, str])
    arguments.add_argument("--output", required=True, help="table to write (Markdown)")
    options = arguments.parse_args()
    from fofg.report.versions import write_versions

    write_versions(options.output, options.spec.packages)


if __name__ == "__main__":
    run(main)

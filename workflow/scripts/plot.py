"""Draw a figure of the report in every configured format."""

from importlib import import_module
from pathlib import Path

from fofg.cli import add_spec, parser, run
from fofg.config import Figures
from fofg.report import figures


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, Figures)
    names = sorted(path.stem for path in Path(figures.__file__).parent.glob("[!_]*.py"))
    arguments.add_argument("figure", choices=names, help="a module of fofg.report.figures")
    arguments.add_argument("files", nargs="+", metavar="FILE", help="what its function plot takes")
    arguments.add_argument("--stem", required=True, help="path of the figure without its extension")
    options = arguments.parse_args()
    from fofg.report import style

    style.apply(options.spec)
    figure = import_module(f"fofg.report.figures.{options.figure}").plot(*options.files)
    style.save(figure, options.stem, options.spec)


if __name__ == "__main__":
    run(main, pandas=True)

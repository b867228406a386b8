"""Write the card (README.md) of each dataset, with the hub's metadata: problems, or training examples selected from responses."""

from fofg.cli import add_spec, parser, run
from fofg.config import Dataset


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, base_model=str, task=str, datasets=dict[str, Dataset])
    arguments.add_argument("--problems", nargs="*", default=[], metavar="FOLDER", help="folder of each of the spec's datasets")
    arguments.add_argument("--examples", nargs="*", default=[], metavar="FOLDER", help="folders of training examples")
    arguments.add_argument("--base", required=True, metavar="FOLDER", help="folder of the base model, or its name on the hub")
    options = arguments.parse_args()
    from fofg.publish.dataset_cards import write_examples, write_problems

    for folder, dataset in zip(options.problems, options.spec.datasets.values(), strict=True):
        write_problems(folder, dataset, options.spec.task)
    for folder in options.examples:
        write_examples(folder, options.spec.base_model, options.base)


if __name__ == "__main__":
    run(main)

"""Write the card (README.md) of each trained model, with the hub's metadata: lineage, data, settings, accuracy."""

from fofg.cli import add_spec, parser, run


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, base_model=str, seeds=list[int], dataset=str, tests=str, models=list[dict])
    arguments.add_argument("--folders", required=True, nargs="+", metavar="FOLDER", help="folder of each of the spec's models")
    arguments.add_argument("--accuracy", required=True, metavar="PARQUET", help="results/accuracy.parquet")
    arguments.add_argument("--base", required=True, metavar="FOLDER", help="folder of the base model, or its name on the hub")
    options = arguments.parse_args()
    from fofg.publish.model_cards import Model, Run, write_card

    spec = options.spec
    described = Run(spec.base_model, options.base, spec.seeds, spec.dataset, spec.tests)
    for model, folder in zip(spec.models, options.folders, strict=True):
        write_card(Model(**model), described, options.accuracy, folder)


if __name__ == "__main__":
    run(main, pandas=True)

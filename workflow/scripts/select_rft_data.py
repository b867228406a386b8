"""Select RFT data from rollouts: drop problems that every sample solved; of the others, keep every correct, finished response.

Write the training and test splits (Parquet) and a summary (JSON) of what was kept and dropped, by reason and by function.
"""

from fofg.cli import add_spec, parser, run
from fofg.specs import SelectionSpec


def main() -> None:
    arguments = parser(__doc__)
    add_spec(arguments, SelectionSpec)
    arguments.add_argument("--rollouts", required=True, help="rollouts to read: one row per problem, its responses in lists")
    arguments.add_argument("--train", required=True, help="Parquet file to write: training examples")
    arguments.add_argument("--test", required=True, help="Parquet file to write: examples of other problems, held back")
    arguments.add_argument("--summary", required=True, help="JSON file to write: counts")
    arguments.add_argument("--workers", type=int, help="maximum processes that score (default: one per core)")
    arguments.add_argument("--allow-empty", action="store_true", help="write empty training data if no response is kept")
    options = arguments.parse_args()
    from fofg.rft.selection import select

    report = select(
        options.spec,
        options.rollouts,
        options.train,
        options.test,
        options.summary,
        options.workers,
        allow_empty=options.allow_empty,
    )
    responses, examples = report["responses"], report["examples"]
    print(
        f"kept {responses['kept']:,} of {responses['total']:,} responses: "
        f"{examples['train']:,} training rows, {examples['test']:,} held back"
    )


if __name__ == "__main__":
    run(main)

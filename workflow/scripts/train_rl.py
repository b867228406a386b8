"""Train a model by reinforcement learning."""

from fofg import cli
from fofg.specs import RLSpec, ValidationSpec

DESCRIPTION = """\
Train a model by GRPO with dynamic sampling (paper §4.1) on a curriculum of problems, and write the new model's folder with
metrics.jsonl.

A killed run resumes from its last checkpoint under --state; engine torch gives the weights of an uninterrupted run. On SIGTERM, or
SIGURG before a time limit, it saves a checkpoint after the current step and exits with code 1. Uses a GPU if there
is one.
"""


def main() -> None:
    arguments = cli.parser(DESCRIPTION)
    cli.add_spec(arguments, RLSpec)
    cli.add_training(arguments)
    cli.add_files(arguments, "--data", "NAME=PARQUET", "problems of each name in the curriculum's mixtures")
    arguments.add_argument(
        "--validation",
        type=ValidationSpec.model_validate_json,
        metavar="JSON",
        help=f"held-out problems, and when and how to answer them (default: never): {', '.join(ValidationSpec.model_fields)}",
    )
    arguments.add_argument(
        "--batch-size", type=cli.count, required=True, metavar="N", help="sequences decoded at once (engine torch)"
    )
    arguments.add_argument(
        "--on-empty-step",
        choices=("error", "skip"),
        required=True,
        help="a step of which no group's rewards differ: stop, or make no update (engine verl always stops)",
    )
    arguments.add_argument(
        "--on-incomplete-step",
        choices=("error", "train"),
        required=True,
        help="a step with too few groups after the last draw: stop, or train on those",
    )
    arguments.add_argument(
        "--keep-rollouts",
        type=int,
        default=0,
        metavar="N",
        help="problems per step to keep with all their responses, as rollouts.parquet beside the model (default: 0)",
    )
    options = arguments.parse_args()
    cli.use_gpus(options)
    from fofg.data import validation
    from fofg.training import engines

    engine = options.spec.rl.engine
    how = engines.how(options, engine)
    if engine != "verl":
        how |= {"batch_size": options.batch_size, "on_empty_step": options.on_empty_step}
    engines.find("rl", engine)(
        spec=options.spec,
        model=options.model,
        data=options.data,
        validation=validation.sample(options.validation) if options.validation else [],
        validation_settings=options.validation,
        output=options.output,
        state=cli.state_folder(options),
        **how,
        on_incomplete_step=options.on_incomplete_step,
        save_every=options.save_every,
        keep_rollouts=options.keep_rollouts,
        trackers=options.trackers,
    )


if __name__ == "__main__":
    cli.run(main, pandas=True)

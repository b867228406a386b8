"""Generate the rollouts of one shard of problems."""

import json
import os
import sys

from fofg import cli
from fofg.runtime import gpus
from fofg.specs import RolloutsSpec

DESCRIPTION = """\
Generate the responses to one shard of problems (spec: first, rows), and write one row per problem.

A killed run resumes: finished batches are stored under --state until the output is complete. Uses a GPU if there is one. On a CPU
shared with other work, set OMP_WAIT_POLICY=PASSIVE first.
"""


def main() -> None:
    arguments = cli.parser(DESCRIPTION)
    cli.add_spec(arguments, RolloutsSpec)
    arguments.add_argument(
        "--problems", nargs="*", metavar="PARQUET", help="a problem file, or none: the spec says how to sample them"
    )
    arguments.add_argument("--model", required=True, metavar="FOLDER", help="model in Hugging Face format")
    arguments.add_argument("--output", required=True, metavar="PARQUET", help="the shard's rollouts")
    cli.add_state(arguments)
    arguments.add_argument(
        "--batch-size", type=cli.count, default=128, metavar="N", help="sequences decoded at once (default: 128)"
    )
    arguments.add_argument("--threads", type=cli.count, metavar="N", help="CPU threads (default: as the environment says)")
    cli.add_gpus(arguments)
    arguments.add_argument(
        "--jobs-per-gpu", type=cli.count, default=1, metavar="N", help="jobs that may share these GPUs (default: 1)"
    )
    arguments.add_argument("--options", type=json.loads, default={}, metavar="JSON", help="settings of the engine's own")
    options = arguments.parse_args()
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)  # read when torch is loaded, by any engine
    if options.gpus:
        gpus.claim(options.gpus, options.jobs_per_gpu, "rollout_engine.gpus")
    else:
        gpus.share()
    from fofg.rollouts import shards

    done = shards.generate(
        options.spec,
        options.problems[0] if options.problems else None,
        options.model,
        options.output,
        cli.state_folder(options),
        options.batch_size,
        options.options,
    )
    print(
        f"{done.problems} problems, {done.samples} samples ({done.resumed} from an earlier run), {done.tokens} new tokens, "
        f"{done.skipped} problems skipped: prompt too long; {done.seconds:.1f} s of model arithmetic",
        file=sys.stderr,
    )


if __name__ == "__main__":
    cli.run(main, pandas=True)

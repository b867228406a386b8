"""Seconds of whole commands at the paper's size, each beside the usual way of doing the same work in the same run.

Times what a user waits for: the start of Python and Snakemake, the work, and the files. The usual way is a plain script in one
process that holds everything in memory: problems by ``eval`` and ``inspect.getsource``, answers by a loop over characters, tables
by pandas; for the dry run, a bare Snakemake with as many rules and jobs. CPU seconds are of all processes; on a busy machine they
tell more than wall seconds. Takes three minutes on two quiet cores.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import parser, report

from fofg import specs
from fofg.config import Config, canonical, load, read

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "workflow/scripts"
#: Seconds of wall time; of the dry run, how many times as long as the usual way.
TARGETS = {"stage1_create_problems": 8, "stage2_create_problems": 25, "dry run": 2.5}
#: Problems with 10 responses each, to gather, select from and score.
ROLLED_OUT = 12_500


def configured() -> Config:
    return load(read([ROOT / "config/default.yaml", ROOT / "config/paper.yaml"]))


# --- the usual way, each in a process of its own ----------------------------------------------------------------------


def usual_create(output: Path, *names: str) -> None:
    """``names``: DATASET/SPLIT of each file."""
    import pandas
    from problems import UsualWay

    from fofg.tasks.strings import pools

    settings = configured()
    for name in names:
        dataset, _, split = name.partition("/")
        chosen = settings.datasets[dataset]
        way, made = UsualWay(pools.pool(settings.problems, chosen.stage, split)), []
        for depth, count in chosen.shares(getattr(chosen, split)):
            made += way.rows(count, depth)
        pandas.DataFrame(made).to_parquet(output / f"{dataset}-{split}.parquet")


def usual_gather(output: Path, *shards: str) -> None:
    import pandas

    pandas.concat([pandas.read_parquet(path) for path in shards]).to_parquet(output)


def usual_select(output: Path, rollouts: str) -> None:
    from rft import usual

    usual(Path(rollouts), output)


def usual_score(output: Path, rollouts: str) -> None:
    import pandas
    from scoring import usual_answer

    verdicts = []
    for row in pandas.read_parquet(rollouts).to_dict("records"):
        truth = json.loads(row["reward_model"]["ground_truth"])["ref_output"]
        for sample, text in enumerate(row["responses"]):
            correct = usual_answer(text) == truth
            verdicts.append({"index": row["extra_info"]["index"], "sample": sample, "reward": float(correct), "correct": correct})
    pandas.DataFrame(verdicts).to_parquet(output)


def usual_chunk(output: Path, problems: str) -> None:
    import pandas

    pandas.read_parquet(problems).sample(frac=1, random_state=0).iloc[:8000].to_parquet(output)


USUAL = {name.removeprefix("usual_"): way for name, way in list(globals().items()) if name.startswith("usual_")}


# --- what the commands work on ------------------------------------------------------------------------------------------


def make_shards(folder: Path, settings: Config) -> list[Path]:
    """Write shards of rollouts as an engine's jobs do: responses of 1 KB, half of them correct."""
    from rft import row

    from fofg.data.files import write_parquet
    from fofg.data.schemas import ROLLOUTS, ROLLOUTS_METADATA

    folder.mkdir()
    generator, paths = random.Random(0), []
    size = settings.rollout_engine.shard_size
    for number, first in enumerate(range(0, ROLLED_OUT, size)):
        spec = specs.RolloutsSpec(
            **specs.stage1_shard(settings, number, ROLLED_OUT), **specs.engine(settings), rollouts=settings.stage1.rollouts
        )
        metadata = {ROLLOUTS_METADATA: json.dumps({"spec": json.loads(spec.text()), "model": "none"})}
        print(f"making responses: {first:,} of {ROLLED_OUT:,} problems", file=sys.stderr)
        rows = (row(index, settings.problems.template, generator) for index in range(first, first + spec.rows))
        paths.append(folder / f"{number}.parquet")
        write_parquet(paths[-1], ROLLOUTS.with_metadata(metadata), [list(rows)])
    return paths


def make_bare_workflow(folder: Path, jobs: dict[str, int]) -> None:
    """Write a Snakefile with as many jobs of each rule; each reads a file of the rule before."""
    folder.mkdir()
    lines, before = [f"rule all:\n    input: {[f'{rule}/{i}.txt' for rule, count in jobs.items() for i in range(count)]}\n"], None
    for rule in jobs:
        source = f"    input: '{before}/0.txt'\n" if before else ""
        lines.append(f"rule {rule}:\n{source}    output: '{rule}/{{number}}.txt'\n    shell: 'touch {{output}}'\n")
        before = rule
    (folder / "Snakefile").write_text("\n".join(lines))


# --- measuring ----------------------------------------------------------------------------------------------------------


class Measured:
    """The wall and CPU seconds of a command with all its processes, and its output. Exits if the command fails."""

    def __init__(self, *command: str | Path, folder: Path = ROOT):
        print(f"running: {' '.join(map(str, command))[:110]}", file=sys.stderr)
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        # Users run with compiled modules.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with tempfile.TemporaryFile("w+") as output:
            start = time.perf_counter()
            process = subprocess.Popen(list(map(str, command)), cwd=folder, env=environment, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            self.wall, self.cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            self.printed = output.read()
        if process.returncode:
            raise SystemExit(f"error: {command[:4]} failed:\n{self.printed[-3000:]}")


def snakemake(target: str, *more: str, folder: Path = ROOT) -> Measured:
    return Measured(sys.executable, "-m", "snakemake", target, "--cores", "2", *more, folder=folder)


def script(name: str, spec: str, *arguments: str | Path) -> Measured:
    return Measured(sys.executable, SCRIPTS / f"{name}.py", "--spec", spec, *arguments)


def usual(name: str, output: Path, *arguments: str | Path) -> Measured:
    return Measured(sys.executable, __file__, "--usual", name, "--output", output, *arguments)


def measure(folder: Path) -> dict[str, tuple[Measured, Measured]]:
    """Return the measurements of each command and of the usual way."""
    from rft import selection

    settings, found = configured(), {}
    run, bare, other = folder / "run", folder / "bare", folder / "usual"
    other.mkdir()
    options = ["--configfile", "config/paper.yaml", "--config", f"run_dir={run}", f"base_model={settings.base_model}"]
    data = run / "data/string_task"

    Measured(sys.executable, SCRIPTS / "create_problems.py", "--help")  # compiles

    dry = [*options, "--dry-run", "--workflow-profile", "profiles/slurm"]
    planned = snakemake("all", *dry)
    table = planned.printed.partition("Job stats:")[2].partition("total")[0]
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE) if rule != "all"}
    make_bare_workflow(bare, jobs)
    found["dry run"] = planned, snakemake("all", "--dry-run", folder=bare)

    splits = {
        stage: [
            f"{name}/{split}"
            for name, chosen in settings.datasets.items()
            for split in ("train", "test")
            if chosen.stage == stage and getattr(chosen, split)
        ]
        for stage in (1, 2)
    }
    for stage, names in splits.items():
        target = f"stage{stage}_create_problems"
        found[target] = snakemake(target, *options), usual("create", other, *names)

    practice = data / "stage2_level2/train.parquet"
    chunk = canonical(iteration=0, size=settings.stage2.rft.examples_per_iteration, seed=settings.stage2.rft.chunk_seed)
    found["create_chunk.py"] = (
        script("create_chunk", chunk, "--problems", practice, "--iterations", "6", "--output", folder / "0.parquet"),
        usual("chunk", other / "0.parquet", practice),
    )
    shards, rollouts = make_shards(folder / "shards", settings), folder / "rollout.parquet"
    gather = canonical(shards=len(shards))
    found["gather_rollouts.py"] = (
        script("gather_rollouts", gather, "--shards", *shards, "--output", rollouts),
        usual("gather", other / "rollout.parquet", *shards),
    )
    outputs = [part for name in ("train", "test", "summary") for part in (f"--{name}", folder / f"{name}.parquet")]
    found["select_rft_data.py"] = (
        script("select_rft_data", selection(settings).text(), "--rollouts", rollouts, *outputs),
        usual("select", other / "train.parquet", rollouts),
    )
    score = canonical(answer_rule=settings.scoring.answer_rule)
    found["score_rollouts.py"] = (
        script("score_rollouts", score, "--rollouts", rollouts, "--output", folder / "verdicts.parquet"),
        usual("score", other / "verdicts.parquet", rollouts),
    )
    return found


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--usual", choices=USUAL, help=argparse.SUPPRESS)
    arguments.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("arguments", nargs="*", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.usual:
        return USUAL[options.usual](options.output, *options.arguments)
    with tempfile.TemporaryDirectory(prefix="fofg-commands-") as folder:
        found = measure(Path(folder))
    commands = {}
    for name, (ours, theirs) in found.items():
        commands[name] = {
            "wall": round(ours.wall, 2),
            "cpu": round(ours.cpu, 2),
            "usual_wall": round(theirs.wall, 2),
            "usual_cpu": round(theirs.cpu, 2),
            "cpu_ratio": round(ours.cpu / theirs.cpu, 2),
        }
        print(name, commands[name], file=sys.stderr)
    report("commands", targets=TARGETS, commands=commands)


if __name__ == "__main__":
    main()

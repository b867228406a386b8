"""The workflow's rules once more, without Snakemake: what their jobs read, how many there are, what a CPU job asks for."""

from collections.abc import Callable
from typing import NamedTuple

from fofg import stages
from fofg.config import Config
from fofg.data.files import count_rows
from fofg.errors import UserError


class Stage(NamedTuple):
    """A rule, and what tells its jobs apart, shards aside.

    ``of``: ``dataset/split``, a round, a model, a curriculum, or an iteration's number; ``variant``: a decoding, or whether
    definitions are visible.
    """

    rule: str
    of: str = ""
    variant: str = ""


Reads = Callable[[Config, Stage], list[Stage]]


def _nothing(settings: Config, stage: Stage) -> list[Stage]:
    return []


def _one(settings: Config, stage: Stage) -> int:
    return 1


class Rule(NamedTuple):
    """``reads``: the stages whose files a job reads; ``jobs``: of one stage.

    ``model``: a job runs a model, and asks for what ``fofg.plan.needs`` says; any other asks for ``memory`` (megabytes) and
    ``minutes``, as under rules/. ``local``: Snakemake's main process runs the job itself, and submits nothing.
    """

    reads: Reads = _nothing
    jobs: Callable[[Config, Stage], int] = _one
    model: bool = False
    memory: int = 1000
    minutes: int = 30
    local: bool = False


# --- what stages read -------------------------------------------------------------------------------------------------


def problems(dataset: str, split: str) -> Stage:
    """The stage that creates a split."""
    return Stage("create_problems", f"{dataset}/{split}")


def stage1_problems(settings: Config) -> list[Stage]:
    """Of Stage 1's training problems in one file; none for the user's own."""
    return [] if settings.use.stage1_problems else [problems("stage1_level1", "train")]


def all_problems(settings: Config) -> list[Stage]:
    """Of every dataset that is made."""
    made = [(name, split) for name, one in settings.datasets.items() for split in ("train", "test") if getattr(one, split)]
    return [problems(*one) for one in made if one != ("stage1_level1", "train") or not settings.use.stage1_problems]


def model(settings: Config, name: str) -> list[Stage]:
    """The stage that makes a model; none for the user's own."""
    if name == "base":
        return [Stage("prepare_base_model")]
    if name == "stage1-rft" and settings.use.stage1_checkpoint:
        return []
    if name.startswith("stage2-rl-"):
        return [Stage("train_rl", name.removeprefix("stage2-rl-"))]
    return [Stage("train_sft", name)]


def decodings(settings: Config) -> list[str]:
    """How every model answers the evaluation's problems."""
    return ["sampled", "greedy"] if settings.evaluation.greedy else ["sampled"]


def iteration_models(settings: Config) -> list[str]:
    """Models of the RFT iterations, in order."""
    return [f"stage2-rft-iter{number}" for number in range(settings.stage2.rft.num_iterations)]


def round_of(tuned: str) -> str:
    """The rollouts that a model is fine-tuned on."""
    return "stage1_level1" if tuned == "stage1-rft" else f"stage2_rft_level2/{tuned.removeprefix('stage2-rft-')}"


def _model_before(settings: Config, tuned: str) -> list[Stage]:
    """The stage that makes the model that is rolled out and fine-tuned to give this one."""
    chain = ["base", "stage1-rft", *iteration_models(settings)]
    return model(settings, chain[chain.index(tuned) - 1])


def _chunk_source(settings: Config, stage: Stage) -> list[Stage]:
    return [] if settings.use.stage2_rft_problems else [problems(settings.stage2.rft.dataset, "train")]


def _rolled_out(settings: Config, stage: Stage) -> list[Stage]:
    """An iteration's chunk; Stage-1 jobs sample their problems themselves."""
    if stage.of == "stage1_level1":
        return _model_before(settings, "stage1-rft")
    iteration = stage.of.rpartition("/")[2]
    return [Stage("create_chunk", iteration.removeprefix("iter")), *_model_before(settings, f"stage2-rft-{iteration}")]


def _tuned_on(settings: Config, stage: Stage) -> list[Stage]:
    own = stage.of == "stage1-rft" and settings.use.stage1_rft_data
    selected = [] if own else [Stage("select_rft_data", round_of(stage.of))]
    return [*selected, *_model_before(settings, stage.of)]


def _practised_on(settings: Config, stage: Stage) -> list[Stage]:
    names = {
        name: None for phase in settings.stage2.rl.curricula[stage.of] for name in phase.mixture if not name.endswith(".parquet")
    }
    return [*(problems(name, "train") for name in names), *model(settings, "stage1-rft")]


def _last_iteration(settings: Config, stage: Stage) -> list[Stage]:
    last = iteration_models(settings)[-1]
    return [Stage("select_rft_data", round_of(last))] if stage.rule == "link_iteration_data" else model(settings, last)


def _all_curricula(settings: Config) -> list[Stage]:
    return [Stage("train_rl", name) for name in settings.stage2.rl.curricula]


def _asked(dataset: Callable[[Config], str]) -> Reads:
    """Reads a dataset's test problems, and the model that is asked."""
    return lambda settings, stage: [problems(dataset(settings), "test"), *model(settings, stage.of)]


def _after(rule: str) -> Reads:
    """Reads the same model's, round's or whole run's file of another rule."""
    return lambda settings, stage: [stage._replace(rule=rule)]


def _all_models(rule: str) -> Reads:
    return lambda settings, stage: [Stage(rule, name) for name in settings.models()]


# --- how many jobs a stage has ----------------------------------------------------------------------------------------


def stage1_count(settings: Config) -> int:
    """Stage-1 training problems: made, or rows of the user's own file. Raises UserError if there are none."""
    own = settings.use.stage1_problems
    count = count_rows(own) if own else settings.datasets["stage1_level1"].train
    if not count:
        raise UserError(f"use.stage1_problems: {own} has no problems; correct the path, or make the file again")
    return count


def _round_shards(settings: Config, stage: Stage) -> int:
    first = stage.of == "stage1_level1"
    return stages.shard_count(settings, stage1_count(settings) if first else settings.stage2.rft.examples_per_iteration)


def _passk_shards(settings: Config, stage: Stage) -> int:
    return -(-settings.datasets[settings.passk.dataset].test // settings.passk.shard_size)


# --- all rules --------------------------------------------------------------------------------------------------------


def _light(reads: Reads = _nothing) -> Rule:
    """A figure, a table, verdicts on few responses, links: seconds, in the main process."""
    return Rule(reads, local=True)


RULES = {
    "prepare_base_model": Rule(memory=2000, minutes=60),
    "build_tiny_base": Rule(memory=16000, minutes=1440),
    "create_problems": Rule(),
    "describe_datasets": Rule(lambda settings, stage: all_problems(settings)),
    "create_chunk": _light(_chunk_source),
    "generate_rollouts": Rule(_rolled_out, jobs=_round_shards, model=True),
    "gather_rollouts": Rule(_after("generate_rollouts")),
    "select_rft_data": Rule(_after("gather_rollouts"), memory=2000, minutes=60),
    "link_iteration_data": _light(_last_iteration),
    "link_iteration_model": _light(_last_iteration),
    "plot_selection": _light(lambda settings, stage: [Stage("select_rft_data", "stage1_level1")]),
    "train_sft": Rule(_tuned_on, model=True),
    "plot_training": _light(lambda settings, stage: [Stage("train_sft", "stage1-rft")]),
    "train_rl": Rule(_practised_on, model=True),
    "generate_stage1_test_rollouts": Rule(_asked(lambda settings: "stage1_level1"), model=True),
    "score_rollouts": _light(_after("generate_stage1_test_rollouts")),
    "summarize_accuracy": _light(
        lambda settings, stage: [
            *stage1_problems(settings),
            *(Stage("score_rollouts", name, shown) for name in ("base", "stage1-rft") for shown in ("visible", "hidden")),
        ]
    ),
    "plot_accuracy": _light(_after("summarize_accuracy")),
    "generate_held_out_rollouts": Rule(_asked(lambda settings: settings.evaluation.dataset), model=True),
    "score_held_out": _light(
        lambda settings, stage: [Stage("generate_held_out_rollouts", stage.of, one) for one in decodings(settings)]
    ),
    "summarize_evaluation": _light(_all_models("score_held_out")),
    "plot_main_comparison": _light(_after("summarize_evaluation")),
    "plot_learning_curves": _light(lambda settings, stage: [*_all_curricula(settings), Stage("summarize_evaluation")]),
    "generate_passk_rollouts": Rule(_asked(lambda settings: settings.passk.dataset), jobs=_passk_shards, model=True),
    "count_passk": Rule(_after("generate_passk_rollouts")),
    "summarize_passk": _light(lambda settings, stage: [Stage("count_passk", name) for name in settings.passk.models]),
    "plot_passk": _light(_after("summarize_passk")),
    "classify_failures": _light(lambda settings, stage: [Stage("generate_held_out_rollouts", stage.of, "sampled")]),
    "summarize_failures": _light(_all_models("classify_failures")),
    "plot_failures": _light(_after("summarize_failures")),
    "plot_exposure": _light(_after("describe_datasets")),
    "write_summary": _light(
        lambda settings, stage: [
            *(Stage(f"summarize_{table}") for table in ("evaluation", "passk", "failures")),
            Stage("describe_datasets"),
            *_all_curricula(settings),
        ]
    ),
    "record_versions": _light(),
}
#: Rules whose jobs Snakemake's main process runs itself.
LOCAL = frozenset(name for name, rule in RULES.items() if rule.local)


def jobs(settings: Config, stage: Stage) -> int:
    """Jobs of a stage: one a shard. Raises UserError for a file of the user's own that can't be counted."""
    return RULES[stage.rule].jobs(settings, stage)

"""A model that answers with random letters in the right format, and problems that RL can teach it."""

import json
import random
from pathlib import Path

import configs
import rollout_rows
import tiny_model

from fofg.config import Config, GRPOConfig, Phase, Scoring, Validation
from fofg.data.files import write_parquet
from fofg.data.schemas import PROBLEMS, RFT
from fofg.specs import RLSpec, SFTSpec, part

LETTERS = "abc"
#: The answer to every problem of one letter, and of two.
ANSWERS = {1: "a", 2: "ab"}
#: Every problem is on one letter (Level 1) or two (Level 2).
LEVELS = (1, 2)

SETTINGS = {
    "engine": "torch",
    "rollouts": {
        "samples": 4,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_prompt_tokens": 40,
        "max_response_tokens": 22,
        "long_prompts": "error",
        "seed": 3,
    },
    "prompts_per_step": 4,
    "mini_batch_prompts": 4,
    "filter_groups": True,
    "generation_prompts": 4,
    "max_generation_batches": 3,
    "scale_rewards": "group",
    "negative_weight": 1.0,
    "loss_agg_mode": "token-mean",
    "kl_coef": 0.0,
    "entropy_coef": 0.0,
    "clip_low": 0.2,
    "clip_high": 0.2,
    "learning_rate": 2e-3,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "betas": (0.9, 0.999),
    "max_grad_norm": 1.0,
    "precision": "float32",
    "seed": 1,
}
VALIDATION = Validation(every=2, dataset="held_out", levels=LEVELS, problems=4, greedy=False)
#: A mixture, then one source alone.
PHASES = [{"steps": 3, "mixture": {"one": 1, "two": 1}}, {"steps": 2, "mixture": {"two": 1}}]


def curriculum(config: Config, name: str) -> RLSpec:
    """Return what an RL run of a configuration depends on."""
    rl = config.stage2.rl
    return RLSpec(rl=part(GRPOConfig, rl), phases=rl.curricula[name], scoring=config.scoring)


def spec(phases=PHASES, scheme="published_code", rollouts=None, **changes) -> RLSpec:
    """``rollouts``: changes of keys in that section."""
    values = {**SETTINGS, **changes}
    values["rollouts"] = {**SETTINGS["rollouts"], **(rollouts or {})}
    scoring = Scoring(scheme=scheme, answer_rule="published")
    return RLSpec(rl=GRPOConfig(**values), phases=[Phase(**phase) for phase in phases], scoring=scoring)


def problem(index: int, level: int, answer: str | None = None) -> dict:
    """Return a problem on random letters; by default, its answer is that of its level."""
    letters = "".join(random.Random(f"{index}/{level}").choices(LETTERS, k=level))
    expected = answer or ANSWERS[level]
    return rollout_rows.problem(index, level, x=letters, output=expected, expression="x", text=f"{letters}?")


#: The rows that VALIDATION asks for.
HELD_OUT = [problem(200 + row, 1 + row // 6) for row in range(12) if row % 6 < 4]


def example(index: int) -> dict:
    """Return a conversation in the right form, with random letters as the answer."""
    row = problem(index, 1 + index % 2)
    guess = "".join(random.Random(f"guess/{index}").choices(LETTERS, k=1 + index % 2))
    return {**row, "response": json.dumps({"output": guess})}


def make(folder: Path) -> Path:
    """Write ``model``, ``one.parquet`` and ``two.parquet`` (by level) and ``unsolvable.parquet``."""
    from fofg.training import sft as training

    tiny_model.make(folder / "random")
    write_parquet(folder / "examples.parquet", RFT, [[example(index) for index in range(128)]])
    write_parquet(folder / "none.parquet", RFT, [[]])
    sft = configs.sft(learning_rate=1e-2, epochs=12, batch_size=16, max_length=64, schedule="linear")
    files = (folder / "examples.parquet", folder / "none.parquet")
    training.train(SFTSpec(sft=sft), folder / "random", *files, folder / "model", folder / "s", 16, save_every=1000)
    write_parquet(folder / "one.parquet", PROBLEMS, [[problem(index, 1) for index in range(10)]])
    write_parquet(folder / "two.parquet", PROBLEMS, [[problem(index, 2) for index in range(100, 118)]])
    write_parquet(folder / "unsolvable.parquet", PROBLEMS, [[problem(index, 1, "never") for index in range(300, 308)]])
    return folder

"""Names of models and datasets, and the folders that hold them, relative to a run's folder (``run_dir``)."""

DATA = "data/string_task"
CHECKPOINTS = "checkpoints"
MODELS = f"{CHECKPOINTS}/string-task"
#: Countdown problems, training examples of both tasks, and the models that learn from these.
COUNTDOWN_DATA = "data/reasoning_gym/countdown"
MERGED_DATA = "data/string_countdown_task"
MULTI_MODELS = f"{CHECKPOINTS}/string-countdown-task"
#: File beside a model: rollouts that its training by RL kept.
KEPT = "rollouts.parquet"
#: Rollouts of every evaluated model; of a model, those of ``evaluation.dataset`` are in a folder of this name.
EVALUATION, HELD_OUT = "results/evaluation", "held-out"

#: The base model as it was converted from a GGUF file.
CONVERTED = "gguf"
BASE = "base"
STAGE0 = "stage0"
STAGE1 = "stage1-rft"
RFT = "stage2-rft-iter"
RL = "stage2-rl-"
#: The Stage-1 model of both tasks, and beginning of the names of models that RL on strings makes of it.
MULTI = "multi-base"
MULTI_RL = f"{MULTI}-rl-"

#: Folder of the user's own models that are evaluated, prepared.
OWN = "own-models"
#: The user's own Stage-1 model, prepared.
OWN_STAGE1 = "own-stage1"
#: Beginning of the folder of a seed, which holds what training with it makes; that of seed 0 is the run's own.
SEED = "seed"
#: Beginning of the folder of a sweep's point.
SWEEP = "sweep/"
#: The dataset that Stage 1 trains on and is tested with.
STAGE1_DATASET = "stage1_level1"


def variant(seed: int) -> str:
    """Return what the paths of a seed's files begin with, under the run's folder: nothing for seed 0, or "seed1/"."""
    return f"{SEED}{seed}/" if seed else ""


def rft_model(iteration: int) -> str:
    """Return the name of the model that an RFT iteration trains."""
    return f"{RFT}{iteration}"


def rl_model(curriculum: str) -> str:
    """Return the name of the model that RL trains on a curriculum."""
    return f"{RL}{curriculum}"

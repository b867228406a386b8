"""Speed of rollouts: our engine against the library's own `generate` in the same run.

Both get the same Level-1 problems (definitions visible), longest prompts first. Tokens count up to and with the end token. The runs
alternate, so that other load meets all alike; start-up counts apart.

transformers: the same batches in a bare loop with a static cache without compilation; on a GPU, also ours without CUDA graphs.
vllm: a bare `LLM.generate` of the same object, from tokens to tokens (we start and end with text) with our sampling parameters; and
a pass over all prompts for each sample, which keeps the cache of prompts. With vLLM's CPU build set
VLLM_CPU_OMP_THREADS_BIND=nobind and VLLM_CPU_KVCACHE_SPACE=1, and give --enforce-eager.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from measuring import parser, report

ROOT = Path(__file__).parents[1]
#: Engine -> our tokens per second over the library's.
TARGETS = {"transformers": 0.8, "vllm": 0.95}


def arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--engine", choices=TARGETS, default="transformers", help="default: transformers")
    options.add_argument("--model", type=Path, default=ROOT / "resources/tiny-base", help="default: resources/tiny-base")
    options.add_argument("--problems", type=int, default=64, help="default: 64")
    options.add_argument("--samples", type=int, default=4, help="responses per problem (default: 4)")
    options.add_argument("--batch-size", type=int, default=128, help="sequences decoded at once (default: 128)")
    options.add_argument("--max-response-tokens", type=int, default=128, help="default: 128")
    options.add_argument("--repeats", type=int, default=3, help="alternating runs of each (default: 3)")
    options.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all)")
    options.add_argument("--dtype", choices=["auto", "bfloat16", "float32"], default="auto", help="default: auto")
    options.add_argument("--gpu-memory-utilization", type=float, default=0.9, help="vllm (default: 0.9)")
    options.add_argument("--enforce-eager", action="store_true", help="vllm: without CUDA graphs")
    return options.parse_args()


def problem_rows(count: int) -> list[dict]:
    import yaml

    from fofg import config, specs
    from fofg.data import datasets
    from fofg.data.files import read_rows

    with open(ROOT / "config/default.yaml", encoding="utf-8") as file:
        settings = config.load(yaml.safe_load(file))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problems.parquet"
        chosen = specs.problems(settings, "stage1_level1", "train")
        datasets.write(path, chosen.model_copy(update={"rows": count}))
        return list(read_rows(path))


def ours(engine, batches: list) -> int:
    """Return the number of tokens sampled by our engine."""
    return sum(sample.token_count for batch in batches for _, _, sample in engine.generate(batch))


def without_graphs(engine, batches: list) -> int:
    """Do the same as ``ours`` without CUDA graphs."""
    decoder = engine.decoder
    graphs, decoder.graphs = decoder.graphs, None
    try:
        return ours(engine, batches)
    finally:
        decoder.graphs = graphs


def bare(engine, batches: list, model: Path) -> int:
    """Return the number of tokens sampled by the engine's model and tokenizer in a plain loop."""
    import torch

    from fofg.models import end_tokens

    tokenizer, settings = engine.tokenizer, engine.settings
    ends = torch.tensor(end_tokens(model, tokenizer), device=engine.device)
    tokens = 0
    for batch in batches:
        prompts = [request.prompt for request in batch for _ in request.seeds]
        texts = tokenizer.apply_chat_template(prompts, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(texts, add_special_tokens=False, return_tensors="pt", padding=True, padding_side="left")
        inputs = inputs.to(engine.device)
        output = engine.model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=settings.max_response_tokens,
            do_sample=True,
            temperature=settings.temperature,
            top_k=0,
            top_p=settings.top_p,
            cache_implementation="static",
            disable_compile=True,
        )
        response = output[:, inputs["input_ids"].shape[1] :]
        ended = torch.isin(response, ends).int()
        tokens += int(((ended.cumsum(dim=1) - ended) == 0).sum())
        tokenizer.batch_decode(response, skip_special_tokens=True)
    return tokens


def vllm_generate(engine, work: list, parts: list[slice]) -> int:
    """Return the number of tokens that `LLM.generate` samples, one call per part. ``work``: (request, prompt tokens)."""
    prompts = [{"prompt_token_ids": ids} for _, ids in work]
    tokens = 0
    engine.llm.reset_prefix_cache()
    for part in parts:
        parameters = [engine.parameters(request.seeds[part]) for request, _ in work]
        outputs = engine.llm.generate(prompts, parameters, use_tqdm=False)
        tokens += sum(len(sample.token_ids) for output in outputs for sample in output.outputs)
    return tokens


def vllm_runs(samples: int) -> dict[str, Callable]:
    def ours_once(engine, work: list) -> int:
        engine.llm.reset_prefix_cache()
        return ours(engine, [[request for request, _ in work]])

    passes = [slice(sample, sample + 1) for sample in range(samples)]
    return {
        "bare": partial(vllm_generate, parts=[slice(None)]),
        "ours": ours_once,
        "passes": partial(vllm_generate, parts=passes),
    }


def alternate(engine, runs: dict[str, Callable], work: list, warm_up: int, repeats: int) -> dict[str, list[float]]:
    """Return tokens per second of each repeat by name, after a run of each over the first ``warm_up`` items of the work."""
    rates = {name: [] for name in runs}
    for run in runs.values():
        run(engine, work[:warm_up])
    for repeat in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            tokens = run(engine, work)
            rates[name].append(tokens / (time.perf_counter() - start))
            print(f"repeat {repeat + 1}, {name}: {tokens} tokens, {rates[name][-1]:,.0f} a second", file=sys.stderr)
    return rates


def ratio(rates: dict[str, list[float]], other: str) -> float:
    """Return the median over the repeats of our rate to another's."""
    return round(statistics.median(own / others for own, others in zip(rates["ours"], rates[other])), 3)


def measure(options: argparse.Namespace) -> dict:
    from fofg.config import Rollouts
    from fofg.rollouts.decoding import token_ids
    from fofg.rollouts.engine import Request, create
    from fofg.rollouts.shards import cut, sample_seed

    limits = {"max_prompt_tokens": 1024, "max_response_tokens": options.max_response_tokens, "long_prompts": "error"}
    settings = Rollouts(samples=options.samples, temperature=1.0, top_p=1.0, seed=1, **limits)
    vllm_options = {"gpu_memory_utilization": options.gpu_memory_utilization, "enforce_eager": options.enforce_eager}
    options_of_engine = vllm_options if options.engine == "vllm" else None
    start = time.perf_counter()
    engine = create(options.engine, options.model, settings, options.dtype, options.batch_size, options_of_engine)
    startup = time.perf_counter() - start
    rows = problem_rows(options.problems)
    ids = token_ids(engine.tokenizer, [row["prompt"] for row in rows])
    requests = [
        Request(row["prompt"], tuple(sample_seed(1, row["extra_info"]["index"], sample) for sample in range(options.samples)))
        for row in rows
    ]
    order = cut(dict(enumerate(map(len, ids))), options.samples, options.batch_size)
    if options.engine == "vllm":
        work, warm_up = [(requests[number], ids[number]) for batch in order for number in batch], 8
        runs = vllm_runs(options.samples)
    else:
        work, warm_up = [[requests[number] for number in batch] for batch in order], 1
        runs = {"bare": partial(bare, model=options.model), "ours": ours}
        if engine.decoder.graphs:
            runs["without_graphs"] = without_graphs
    rates = alternate(engine, runs, work, warm_up, options.repeats)
    return {
        "tokens_per_second": round(statistics.median(rates["ours"])),
        **{f"{name}_tokens_per_second": round(statistics.median(rates[name])) for name in rates if name != "ours"},
        "ratio": ratio(rates, "bare"),
        **{f"ratio_to_{name}": ratio(rates, name) for name in rates if name not in ("bare", "ours")},
        "target_ratio": TARGETS[options.engine],
        "met": ratio(rates, "bare") >= TARGETS[options.engine],
        "startup_seconds": round(startup, 1),
        "gpu_memory_gib": gpu_memory(),
        "problems": options.problems,
        "samples": options.samples,
        "prompt_tokens": sum(map(len, ids)),
        "threads": options.threads,
        **engine.identity,
    }


def gpu_memory() -> float | None:
    """Return the GiB in use on the first GPU, which are the peak, since torch and vLLM keep memory. None without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return round((total - free) / 2**30, 2)


def main() -> None:
    options = arguments()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    report("rollouts", **measure(options))


if __name__ == "__main__":
    main()

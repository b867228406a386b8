"""Speed of roll-outs: our engine against a bare `generate` loop in the same run.

Both get the same Level-1 problems (definitions visible) in the same batches, sorted by length; the bare loop uses a static cache
without compilation. Tokens count up to and with the end token. The runs alternate, so that other load meets both.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = 0.8


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: resources/tiny-base, or random weights of that size if it is missing")
    parser.add_argument("--problems", type=int, default=64, help="default: 64")
    parser.add_argument("--samples", type=int, default=4, help="responses a problem (default: 4)")
    parser.add_argument("--batch-size", type=int, default=128, help="sequences decoded at once (default: 128)")
    parser.add_argument("--max-response-tokens", type=int, default=128, help="default: 128")
    parser.add_argument("--repeats", type=int, default=3, help="alternating runs of each (default: 3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all)")
    return parser.parse_args()


def problem_rows(count: int) -> list[dict]:
    import yaml

    from fofg import config, stages
    from fofg.files import read_rows
    from fofg.problems import datasets

    with open(ROOT / "config/default.yaml", encoding="utf-8") as file:
        settings = config.load(yaml.safe_load(file))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problems.parquet"
        chosen = stages.create_problems(settings, "stage1_level1", "train")
        datasets.write(path, chosen.model_copy(update={"rows": count}))
        return list(read_rows(path))


def ours(engine, batches: list) -> int:
    """Tokens made."""
    return sum(sample.token_count for batch in batches for _, _, sample in engine.generate(batch))


def bare(engine, batches: list) -> int:
    """Tokens made by the engine's model and tokenizer in a plain loop."""
    import torch

    from fofg.rollouts.decoding import end_tokens

    tokenizer, settings = engine.tokenizer, engine.settings
    ends = torch.tensor(end_tokens(engine.model, tokenizer), device=engine.device)
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


def measure(options: argparse.Namespace, model: Path) -> dict:
    from fofg.config import Rollouts
    from fofg.rollouts.engine import Request, create
    from fofg.rollouts.shards import cut, sample_seed

    length = options.max_response_tokens
    limits = {"max_prompt_tokens": 1024, "max_response_tokens": length, "long_prompts": "error"}
    settings = Rollouts(samples=options.samples, temperature=1.0, top_p=1.0, seed=1, **limits)
    engine = create("transformers", model, settings, "auto", options.batch_size)
    rows = problem_rows(options.problems)
    requests = [
        Request(row["prompt"], tuple(sample_seed(1, row["extra_info"]["index"], sample) for sample in range(options.samples)))
        for row in rows
    ]
    lengths = dict(enumerate(engine.prompt_lengths([row["prompt"] for row in rows])))
    batches = [[requests[number] for number in batch] for batch in cut(lengths, options.samples, options.batch_size)]
    rates = {"bare": [], "ours": []}
    for run in (bare, ours):
        run(engine, batches[:1])  # warm up
    for repeat in range(options.repeats):
        for name, run in (("bare", bare), ("ours", ours)):
            start = time.perf_counter()
            tokens = run(engine, batches)
            rates[name].append(tokens / (time.perf_counter() - start))
            print(f"repeat {repeat + 1}, {name}: {tokens} tokens, {rates[name][-1]:,.0f} a second", file=sys.stderr)
    ratio = statistics.median(own / other for own, other in zip(rates["ours"], rates["bare"]))
    return {
        "tokens_per_second": round(statistics.median(rates["ours"])),
        "bare_tokens_per_second": round(statistics.median(rates["bare"])),
        "ratio": round(ratio, 3),
        "target_ratio": TARGET,
        "met": ratio >= TARGET,
        "prompt_tokens": sum(lengths.values()),
        "threads": options.threads,
        **engine.identity,
    }


def main() -> None:
    options = arguments()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    model = options.model or ROOT / "resources/tiny-base"
    with tempfile.TemporaryDirectory() as folder:
        if options.model is None and not (model / "model.safetensors").exists():
            sys.path.insert(0, str(ROOT / "tests"))
            import tiny_model

            model = tiny_model.make(Path(folder), hidden=192, layers=6, heads=6, feed_forward=512, positions=2048)
        print(json.dumps(measure(options, model)))


if __name__ == "__main__":
    main()

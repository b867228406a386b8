"""``fofg``: small services around the workflow; runs no stage."""

import argparse
import io
import json
import os
import sys
from contextlib import suppress
from typing import get_args

import yaml

from fofg import __version__, provenance
from fofg.changes import differences
from fofg.cli import count
from fofg.config import DEFAULT, Config, assigned, at, keys, load, merged, read
from fofg.data import exchange
from fofg.errors import UserError, explain
from fofg.graph import dot
from fofg.plan import as_dict, as_text, dry_run
from fofg.runtime import run_registry
from fofg.tasks.task import task_variables
from fofg.why import as_text as why_text
from fofg.why import since_last_start, why


def main() -> None:
    parser = argparse.ArgumentParser(prog="fofg", description=__doc__)
    parser.add_argument("--version", action="version", version=f"fofg {__version__}")
    commands = parser.add_subparsers(required=True)
    _add_config(commands.add_parser("config", help="print the resolved configuration as YAML"))
    _add_plan(commands.add_parser("plan", help="print what targets would do and take, before anything runs"))
    _add_set(commands.add_parser("set", help="print an overlay of the configuration with some keys"))
    _add_graph(commands.add_parser("graph", help="print the rules as a graph: fofg graph | dot -Tsvg > graph.svg"))
    _add_why(commands.add_parser("why", help="print what is stale and why, or what changed keys would rerun"))
    _add_import(commands.add_parser("import", help="write others' problems, rollouts or examples with this project's columns"))
    _add_export(commands.add_parser("export", help="write problems, rollouts or examples for others"))
    _add_show(
        commands.add_parser("show", help="print responses of a model, with the correct trace and the first wrong step marked")
    )
    _add_compare(commands.add_parser("compare", help="print how two runs differ: configuration, accuracy, problems solved"))
    _add_push(commands.add_parser("push", help="upload a model or dataset with its card (target publish) to the Hugging Face hub"))
    commands.add_parser("schema", help="print the JSON schema of the configuration (config/schema.json)").set_defaults(run=_schema)
    commands.add_parser(
        "unlock", help="wait for the jobs of a killed run on the cluster, and remove the lock that it left in .snakemake/"
    ).set_defaults(run=_unlock)
    arguments = parser.parse_args()
    try:
        _enter_run(arguments)
        arguments.run(arguments)
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # whoever reads has seen enough: fofg plan | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at its end
        sys.exit(1)
    except OSError as error:
        if not (message := explain(error)):
            raise
        sys.exit(f"error: {message}")


def _enter_run(arguments: argparse.Namespace) -> None:
    """Change to the folder of the run that the working folder lies in, as Git does; files in the arguments are still found."""
    here = os.getcwd()
    root = provenance.enclosing_run(here) or here
    if root == here:
        return

    def moved(text: str, is_path) -> str:
        path = os.path.join(here, text)
        return os.path.relpath(path, root) if is_path(path) else text

    # A name of a model or target is no path, even where a folder is called so.
    kinds = {"output": lambda path: True, "runs": os.path.lexists, "folder": os.path.isdir}
    for name in {"configfile", "files", "file", "source", "against", "output", "targets", "words", "runs", "folder"} & vars(
        arguments
    ).keys():
        value, is_path = getattr(arguments, name), kinds.get(name, os.path.isfile)
        moved_value = [moved(text, is_path) for text in value] if isinstance(value, list) else value and moved(value, is_path)
        setattr(arguments, name, moved_value)
    print(f"fofg: in folder {root}", file=sys.stderr)
    os.chdir(root)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="OVERLAY", help="merged left to right over config/default.yaml")
    parser.add_argument("--default", default=DEFAULT, help="the complete configuration (default: %(default)s)")
    parser.set_defaults(run=_config)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="targets of the workflow (default: all)")
    _add_overlays(parser)
    parser.add_argument("--gpus", type=int, metavar="N", help="GPUs in use at once (default: those of the largest job)")
    parser.add_argument(
        "--stale", "--remaining", action="store_true", help="leave out what is up to date (default: all from nothing)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_plan)


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pairs", nargs="+", metavar="KEY=VALUE", help="dotted keys, values in YAML: fofg set stage1.sft.epochs=3 > mine.yaml"
    )
    _add_overlays(parser)
    parser.set_defaults(run=_set)


def _add_graph(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="targets of the workflow (default: all)")
    _add_overlays(parser)
    parser.set_defaults(run=_graph)


def _add_why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="KEY=VALUE | TARGET",
        help="changed keys, dotted (stage2.rl.learning_rate=1e-4), values in YAML; targets of the workflow (default: all)",
    )
    _add_overlays(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_why)


def _add_overlays(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--configfile", nargs="+", default=[], metavar="OVERLAY", help="as of snakemake; other arguments go first")
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="as of snakemake; keys may be dotted")


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="Parquet or JSON Lines (docs/files.md)")
    parser.add_argument("output", metavar="PARQUET", help="the file to write")
    _add_overlays(parser)
    parser.set_defaults(run=_import)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a dataset or output of the run (stage2_level2, stage1_level1/rft_data, stage1_level1/rollout), a file, or a folder",
    )
    parser.add_argument("output", metavar="OUTPUT", help="the file to write; a folder, for train and test of a dataset or folder")
    parser.add_argument(
        "--as",
        dest="form",
        required=True,
        choices=get_args(exchange.Form),
        help="verl: this project's columns, which verl reads; messages: conversations; public: columns of the paper's public code",
    )
    _add_overlays(parser)
    parser.set_defaults(run=_export)


def _add_show(parser: argparse.ArgumentParser) -> None:
    meaning = "an evaluated model of the run (stage1-rft; stage1-rft/hidden), or a file of rollouts or training examples"
    parser.add_argument("source", metavar="MODEL_OR_FILE", help=meaning)
    parser.add_argument("--level", type=int, metavar="N", help="show only problems of this level")
    parser.add_argument(
        "--class", dest="failure", metavar="CLASS", help="show only responses of this class (correct, atomic_error, no_answer, ...)"
    )
    parser.add_argument("--problem", type=int, metavar="N", help="show only this problem (its index), with all its responses")
    parser.add_argument("--step", type=int, metavar="N", help="show responses that the RL of the model kept in this step")
    parser.add_argument(
        "-n",
        dest="count",
        type=count,
        default=5,
        metavar="N",
        help="maximum number of responses, one per problem (default: %(default)s)",
    )
    parser.add_argument("--against", metavar="MODEL_OR_FILE", help="also show the responses of this one to the same problems")
    parser.add_argument("--full", action="store_true", help="print long texts whole")
    _add_overlays(parser)
    parser.set_defaults(run=_show)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs=2, metavar="RUN", help="run_dir of a run whose models are evaluated")
    parser.add_argument("-n", dest="count", type=count, default=5, metavar="N", help="problems to list (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, with all problems")
    parser.set_defaults(run=_compare)


def _add_push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="a model's or dataset's folder, with README.md")
    parser.add_argument("repository", metavar="OWNER/NAME", help="on the hub; made, private, if there is none")
    parser.add_argument("--public", action="store_true", help="make a new repository public")
    parser.set_defaults(run=_push)


def _push(arguments: argparse.Namespace) -> None:
    from fofg.publish.hub import push

    print(push(arguments.folder, arguments.repository, arguments.public))


def _compare(arguments: argparse.Namespace) -> None:
    from fofg.evaluation.runs import compare_runs, configuration
    from fofg.report import runs as report

    first, second = arguments.runs
    problems = {"problems": configuration(first)["problems"]}  # its other keys may be those of an earlier version
    os.environ.update(task_variables(load(merged(read([DEFAULT]), problems)).problems))
    comparison = compare_runs(first, second)
    text = report.as_text(comparison, (first, second), arguments.count)
    print(json.dumps(report.as_dict(comparison), indent=2) if arguments.json else text)


def _show(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from fofg.evaluation import samples
    from fofg.report.samples import show

    settings = _with_tasks(arguments)
    sources = [source for source in (arguments.source, arguments.against) if source]
    files = [samples.find(source, settings.run_dir, arguments.step) for source in sources]
    choice = samples.Choice(arguments.count, arguments.level, arguments.failure, arguments.problem, arguments.step)
    chosen = samples.choose(files[0], choice, settings.scoring.answer_rule, *files[1:])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # responses have characters that a terminal may lack
    show(chosen, sources, Console(highlight=False), arguments.full)


def _import(arguments: argparse.Namespace) -> None:
    _with_tasks(arguments)
    print(f"{exchange.import_rows(arguments.file, arguments.output)} rows")


def _export(arguments: argparse.Namespace) -> None:
    for name, file in exchange.find(arguments.source, _with_tasks(arguments).run_dir).items():
        rows = exchange.export_rows(file, arguments.output + name, arguments.form)
        print(f"{arguments.output}{name}: {rows} rows")


def _with_tasks(arguments: argparse.Namespace) -> Config:
    """Load the configuration, and let rows find its task."""
    settings = load(_overlaid(arguments))
    os.environ.update(task_variables(settings.problems))
    return settings


def _overlaid(arguments: argparse.Namespace) -> dict:
    return merged(read([DEFAULT, *arguments.configfile]), assigned(arguments.config, "--config: "))


def _config(arguments: argparse.Namespace) -> None:
    settings = load(read([arguments.default, *arguments.files]))
    print(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")


def _set(arguments: argparse.Namespace) -> None:
    overlay = assigned(arguments.pairs)
    values = load(merged(_overlaid(arguments), overlay)).model_dump(mode="json")
    for key in keys(overlay):
        with suppress(KeyError):  # null removes a dataset, say
            overlay = merged(overlay, assigned([f"{key}={json.dumps(at(values, key), ensure_ascii=False)}"]))
    print(yaml.safe_dump(overlay, sort_keys=False, allow_unicode=True), end="")


def _plan(arguments: argparse.Namespace) -> None:
    settings = load(_overlaid(arguments))
    jobs = dry_run(arguments.targets, arguments.configfile, assigned(arguments.config), arguments.stale)
    plan = as_dict(settings, jobs, arguments.gpus)
    print(json.dumps(plan, indent=2) if arguments.json else as_text(settings, plan))


def _graph(arguments: argparse.Namespace) -> None:
    every, stale = (dry_run(arguments.targets, arguments.configfile, assigned(arguments.config), only) for only in (False, True))
    print(dot(every, stale))


def _why(arguments: argparse.Namespace) -> None:
    pairs = [word for word in arguments.words if "=" in word and word.partition("=")[0].partition(".")[0] in Config.model_fields]
    targets = [word for word in arguments.words if word not in pairs]
    files, values = read([DEFAULT, *arguments.configfile]), assigned(arguments.config, "--config: ")
    changed_values = assigned([*arguments.config, *pairs])
    now, then = (load(merged(files, overlay)) for overlay in (values, changed_values))
    changed = differences(now.model_dump(mode="json"), then.model_dump(mode="json")) if pairs else since_last_start(now)
    if pairs and not changed:
        raise UserError(f"{' '.join(pairs)}: the configuration has this already; without KEY=VALUE, fofg why tells what is stale")
    result = why(then, changed, targets, arguments.configfile, changed_values, values if pairs else None)
    since = "" if pairs else f" since the run's last start (--configfile {now.run_dir}/{provenance.CONFIG} is its configuration)"
    print(json.dumps(result, indent=2) if arguments.json else why_text(result, since))


def _schema(arguments: argparse.Namespace) -> None:
    print(json.dumps(Config.model_json_schema(), indent=2))


def _unlock(arguments: argparse.Namespace) -> None:
    run_registry.release(".snakemake")


if __name__ == "__main__":
    main()

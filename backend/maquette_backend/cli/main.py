"""The commands and their arguments. Each command imports only what it needs, so ``serve`` never sees torch."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from maquette_protocol.errors import MaquetteError

from ..server.keys import ClientKeys
from .models_command import add_models, models_folder
from .recipe_flags import add_recipe_flags, with_flags


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status. Errors that a person can act on are one line on standard error."""
    chosen = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        return chosen.run(chosen)
    except MaquetteError as error:
        sys.stderr.write(f"maquette: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m maquette_backend", description="Maquette's compute backend.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = _command(commands, "serve", "wait for Blender and refine what it sends", _serve)
    serve.add_argument("--endpoint", default="tcp://127.0.0.1:0", help="where to listen; port 0 takes a free one")
    serve.add_argument("--connection-file", type=Path, help="where to leave it (default: in the home folder)")
    serve.add_argument("--quota-gib", type=float, default=16.0, help="room for each client's blobs")

    refine = _command(commands, "refine", "refine a saved recipe without Blender", _refine)
    refine.add_argument("recipe", type=Path, help="recipe as JSON")
    refine.add_argument("--blobs", type=Path, required=True, help="folder of arrays, each named by its SHA-256")
    refine.add_argument("--out", type=Path, required=True, help="folder for the .glb and .png files")
    add_recipe_flags(refine)

    _command(
        commands, "doctor", "say what this machine has for the work, and what to do about what is missing", _doctor
    )
    add_models(commands)
    _add_keys(commands)
    return parser


def _add_keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keys = commands.add_parser("keys", help="who may connect").add_subparsers(required=True, metavar="COMMAND")
    enrol = _command(keys, "enrol", "let a client's key in", _enrol)
    enrol.add_argument("public_key")
    enrol.add_argument("--name", default="unnamed", help="whose key it is")
    _command(keys, "list", "show this backend's key and the enrolled ones", _list_keys)
    revoke = _command(keys, "revoke", "let a key in no more", _revoke)
    revoke.add_argument("public_key")
    _command(keys, "generate", "make a key pair for a client", _generate)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str, run: object
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=purpose, description=purpose)
    parser.add_argument("--home", type=Path, help="folder for keys, jobs and blobs (default: the user's data folder)")
    parser.set_defaults(run=run)
    return parser


def _serve(chosen: argparse.Namespace) -> int:
    from ..server.serve import ServeOptions, serve

    serve(ServeOptions(chosen.home, chosen.endpoint, chosen.connection_file, quota_bytes=int(chosen.quota_gib * 2**30)))
    return 0


def _refine(chosen: argparse.Namespace) -> int:
    from .refine_command import refine_recipe

    models = models_folder(chosen.home)
    return refine_recipe(chosen.recipe, chosen.blobs, chosen.out, models, lambda saved: with_flags(saved, chosen))


def _doctor(chosen: argparse.Namespace) -> int:
    from .doctor import findings, report

    return report(findings(chosen.home), sys.stdout)


def _enrol(chosen: argparse.Namespace) -> int:
    _clients(chosen).enrol(chosen.public_key, chosen.name)
    _say(f"enrolled {chosen.public_key} ({chosen.name})")
    return 0


def _list_keys(chosen: argparse.Namespace) -> int:
    from ..server.home import open_home
    from ..server.keys import load_server_keys

    _say(f"{load_server_keys(open_home(chosen.home).keys).public}  this backend's public key; clients need it")
    _say(*(f"{public}  {name}" for public, name in _clients(chosen).names().items()))
    return 0


def _revoke(chosen: argparse.Namespace) -> int:
    gone = _clients(chosen).revoke(chosen.public_key)
    _say(f"revoked {chosen.public_key}" if gone else f"{chosen.public_key} was not enrolled")
    return 0 if gone else 1


def _generate(chosen: argparse.Namespace) -> int:
    from ..server.keys import generate_key_pair

    keys = generate_key_pair()
    _say(f"public  {keys.public}   (enrol this one at the backend)", f"secret  {keys.secret}   (keep this one)")
    return 0


def _clients(chosen: argparse.Namespace) -> ClientKeys:
    from ..server.home import open_home

    return ClientKeys(open_home(chosen.home).keys)


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")

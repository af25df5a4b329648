"""Runs the parts one after the other. A part that fails is reported, and the others are measured all the same."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.rows import Row

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "out" / "bench.json"
BLENDER_PYTHON = ROOT / ".venv-blender-4.5" / "bin" / "python"
BLENDER_TIMEOUT_SECS = 600
Part = Callable[[], list[Row]]


@dataclass(frozen=True)
class Measured:
    """What a run gave."""

    rows: tuple[Row, ...]
    failures: Mapping[str, str]
    """Part → its error, for people."""


def main(arguments: list[str]) -> int:
    """Measure, print, write; 1 when a part failed. A missed target is a finding, not a failure."""
    parts = find_parts(ROOT / "benchmarks")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Maquette's budgets.")
    parser.add_argument("--only", default="", help=f"one part: {', '.join(parts)} (default: all)")
    only = parser.parse_args(arguments).only
    if only and only not in parts:
        parser.error(f"there is no part “{only}”; choose one of: {', '.join(parts)}")
    measured = measure({only: parts[only]} if only else parts)
    print(f"\n{describe_machine()}\n\n{table(measured.rows)}")
    for name, error in measured.failures.items():
        print(f"\nFAILED {name}: {error}")
    write_report(measured.rows, REPORT)
    print(f"\n{len(measured.rows)} rows in {REPORT.relative_to(ROOT)}")
    return 1 if measured.failures else 0


def find_parts(folder: Path) -> dict[str, Part]:
    """Name → how to measure it: every module of ``folder`` that defines ``rows()``, and Blender's main thread.

    Nothing is imported before it is its turn.
    """
    names = [path.stem for path in sorted(folder.glob("*.py")) if _defines_rows(path.read_text())]
    return {**{name: partial(_module_rows, f"{folder.name}.{name}") for name in names}, "blender": blender_rows}


def measure(parts: Mapping[str, Part]) -> Measured:
    """Run every part, whatever happens to the ones before it."""
    rows: list[Row] = []
    failures: dict[str, str] = {}
    for name, part in parts.items():
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        try:
            rows += part()
        except Exception as error:
            traceback.print_exc()
            failures[name] = f"{type(error).__name__}: {error}"
    return Measured(tuple(rows), failures)


def table(rows: tuple[Row, ...]) -> str:
    """The rows in columns, how each was measured below its figures."""
    lines = []
    for row in rows:
        mark = "holds " if row.holds else "MISSED"
        lines.append(f"{mark}  {row.name:<32} {row.value:>10.4g} {row.unit:<10} target {row.target}")
        lines.append(f"        {row.how}")
    return "\n".join(lines)


def write_report(rows: tuple[Row, ...], path: Path) -> None:
    """The rows of this run as a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def blender_rows() -> list[Row]:
    """Blender's main thread, measured in Blender's own environment."""
    if not BLENDER_PYTHON.exists():
        raise FileNotFoundError(f"{BLENDER_PYTHON.relative_to(ROOT)} is missing. Run: make setup")
    script = ROOT / "benchmarks" / "blender_main_thread.py"
    ran = subprocess.run(
        [str(BLENDER_PYTHON), str(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BLENDER_TIMEOUT_SECS,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{script.name} ended with status {ran.returncode}: {ran.stderr[-2000:]}")
    return rows_from_output(ran.stdout)


def rows_from_output(output: str) -> list[Row]:
    """The rows in the one line that is a JSON list; Blender prints lines of its own around it."""
    lists = [line for line in output.splitlines() if line.startswith("[{")]
    if len(lists) != 1:
        raise ValueError(f"Expected one line of rows, found {len(lists)} in: {output[-2000:]}")
    return [Row(**row) for row in json.loads(lists[0])]


def _module_rows(module: str) -> list[Row]:
    return importlib.import_module(module).rows()


def _defines_rows(source: str) -> bool:
    """Whether a module has a function ``rows`` that needs nothing."""
    return any(
        isinstance(node, ast.FunctionDef) and node.name == "rows" and not node.args.args
        for node in ast.parse(source).body
    )

"""The benchmarks' runner: it finds every part, survives one that fails, and writes what it measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.machine import describe_machine, processor_from
from benchmarks.rows import Row

GOOD = Row("shape.time_ms", 1.5, "ms", "<= 2", True, "a sphere")
MISSED = Row("shape.error", 0.3, "", "<= 0.1", False, "a sphere, ² and ≤")


def _fails() -> list[Row]:
    raise ValueError("no such device")


def test_finds_modules_with_rows_and_nothing_else() -> None:
    parts = run.find_parts(run.ROOT / "benchmarks")
    assert {"raster", "shape", "refine", "blender"} <= set(parts)
    assert not {"run", "rows", "machine", "blender_main_thread", "__main__", "__init__"} & set(parts)


def test_found_modules_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "small_bench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "area.py").write_text(
        f"from benchmarks.rows import Row\ndef rows() -> list[Row]:\n    return [Row(**{asdict(GOOD)!r})]\n"
    )
    (package / "other.py").write_text("def rows(needed): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    parts = run.find_parts(package)
    assert set(parts) == {"area", "blender"}
    assert parts["area"]() == [GOOD]


def test_a_failure_does_not_stop_the_others() -> None:
    measured = run.measure({"first": _fails, "second": lambda: [GOOD, MISSED]})
    assert measured.rows == (GOOD, MISSED)
    assert measured.failures == {"first": "ValueError: no such device"}


@pytest.mark.parametrize(("part", "status"), [(_fails, 1), (lambda: [MISSED], 0)])
def test_status_tells_failures_from_missed_targets(
    part: run.Part, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "REPORT", tmp_path / "out" / "bench.json")
    monkeypatch.setattr(run, "find_parts", lambda folder: {"broken": part, "shape": lambda: [GOOD]})
    assert run.main([]) == status
    written = json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8"))
    assert asdict(GOOD) in written
    assert len(written) == 2 - status
    printed = capsys.readouterr().out
    assert ("FAILED broken: ValueError: no such device" in printed) == bool(status)
    assert describe_machine() in printed


def test_only_runs_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "REPORT", tmp_path / "bench.json")
    monkeypatch.setattr(run, "find_parts", lambda folder: {"broken": _fails, "shape": lambda: [GOOD]})
    assert run.main(["--only", "shape"]) == 0
    assert run.main(["--only", ""]) == 1
    with pytest.raises(SystemExit):
        run.main(["--only", "colour"])


def test_table_shows_every_row() -> None:
    holds, _, missed, how = run.table((GOOD, MISSED)).splitlines()
    assert holds.split() == ["holds", "shape.time_ms", "1.5", "ms", "target", "<=", "2"]
    assert missed.split()[:3] == ["MISSED", "shape.error", "0.3"]
    assert how.strip() == MISSED.how


def test_blender_rows_are_read_among_other_output() -> None:
    line = json.dumps([asdict(GOOD), asdict(MISSED)], ensure_ascii=False)
    assert run.rows_from_output(f"Blender 4.5\n{line}\n\nBlender quit\n") == [GOOD, MISSED]
    with pytest.raises(ValueError, match="found 0"):
        run.rows_from_output("Blender quit\n")


def test_missing_blender_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "BLENDER_PYTHON", tmp_path / "python")
    with pytest.raises(FileNotFoundError, match="make setup"):
        run.blender_rows()


def test_threads_are_told_to_sleep_before_torch_is_loaded() -> None:
    code = "import os, sys, runpy; runpy.run_module('benchmarks'); print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=run.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.split() == ["PASSIVE", "False"]


def test_processor_is_named() -> None:
    assert processor_from("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t: fpu\n") == "Some CPU @ 2 GHz"
    assert processor_from("processor : 0\n") == ""

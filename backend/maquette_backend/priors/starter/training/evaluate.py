"""Measures the starter prior on models it never saw: the whole table of its gate, and sheets to look at.

Run by ``make prior-eval`` (tools/prior_eval.py, which brings refinement along: priors do not know who uses them).
Everything is seeded; only the times of refinement's steps differ from run to run.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from maquette_backend.priors.starter.folder import SHIPPED, LoadedFolder, load_folder
from maquette_backend.priors.starter.starter_prior import StarterPrior
from maquette_backend.priors.starter.training.data import DEFAULT_CACHE
from maquette_backend.priors.starter.training.dataset import ViewSet, load_views
from maquette_backend.priors.starter.training.evaluation import sheets
from maquette_backend.priors.starter.training.evaluation.asking import SampleEffort, obtain_samples, questions
from maquette_backend.priors.starter.training.evaluation.distillation import (
    Colored,
    Refine,
    RefineEffort,
    Reshaped,
    coarse_subjects,
    colored,
    reshaped,
    right_shares,
)
from maquette_backend.priors.starter.training.evaluation.judge import Judge
from maquette_backend.priors.starter.training.evaluation.judge_training import JudgeEffort, Lesson
from maquette_backend.priors.starter.training.evaluation.judges import (
    cross_examine,
    examine,
    fronted_kinds,
    kind_lesson,
    obtain_judge,
    side_lesson,
)
from maquette_backend.priors.starter.training.evaluation.losses import LossEffort, loss_rows
from maquette_backend.priors.starter.training.evaluation.rows import Row, bootstrap_mean, markdown, wilson
from maquette_backend.priors.starter.training.evaluation.sampled import (
    color_rows,
    copy_rows,
    judge_rows,
    kind_rows,
    merged_sides,
    side_rows,
)
from maquette_backend.priors.starter.training.evaluation.shapes import held_out_subjects
from maquette_backend.priors.starter.training.evaluation.together import TogetherEffort, company_rows, spread_rows
from maquette_backend.priors.starter.views_together import VIEWS

JudgeName = Literal["kinds", "sides"]
PARTS = ("losses", "together", "samples", "copies", "refinement")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Effort:
    """How thoroughly everything is measured."""

    losses: LossEffort = field(default_factory=LossEffort)
    together: TogetherEffort = field(default_factory=TogetherEffort)
    samples: SampleEffort = field(default_factory=SampleEffort)
    judges: Mapping[JudgeName, JudgeEffort] = field(
        default_factory=lambda: {"kinds": JudgeEffort(steps=2500), "sides": JudgeEffort(steps=3000)}
    )
    refinement: RefineEffort = field(default_factory=RefineEffort)
    folds: int = 3
    """Of the judges' cross-examination; 0 for none."""
    copies_every: int = 1
    """Every how manieth training view copies are looked for in."""


FULL = Effort()
QUICK = Effort(
    losses=LossEffort(views=2, noises=2),
    together=TogetherEffort(turns=1, steps=12),
    samples=SampleEffort(per_kind=12, steps=20),
    refinement=RefineEffort(subjects=6, geometry_steps=60, appearance_steps=60),
    folds=0,
    copies_every=4,
)
"""A look in a few minutes; the gate is the full effort."""


@dataclass(frozen=True)
class Bench:
    """What all parts work with."""

    folder: LoadedFolder
    prior: StarterPrior
    views: ViewSet
    effort: Effort
    cache: Path
    """The training data; judges and samples are kept below it."""
    out: Path
    together: LoadedFolder
    """The same folder again, for four views of one subject at a time."""

    @property
    def kept(self) -> Path:
        return self.cache / "judges"


@dataclass
class Report:
    """What is found, part by part."""

    rows: list[Row] = field(default_factory=list)
    details: dict[str, object] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    """What differs from run to run: how long things took."""


def measure_losses(bench: Bench, report: Report) -> None:
    """Captions and cameras."""
    report.rows += loss_rows(bench.folder.network, bench.folder.words.encode, bench.views, bench.effort.losses)


def measure_together(bench: Bench, report: Report) -> None:
    """What four views of one subject gain by each other's company."""
    effort, encode = bench.effort.together, bench.folder.words.encode
    company = StarterPrior(bench.together, torch.device("cpu"), views=VIEWS)
    report.rows += company_rows(bench.folder.network, bench.together.network, encode, bench.views, effort)
    report.rows += spread_rows(bench.prior, company, effort)


def measure_samples(bench: Bench, report: Report) -> None:
    """Kind, colour and side of samples, and the judges themselves."""
    effort = bench.effort.samples
    asked = questions(effort)
    samples = obtain_samples(bench.prior, asked, effort, bench.kept)
    kinds = kind_rows(_judge(bench, "kinds"), samples, asked)
    colors = color_rows(samples, asked, bench.views)
    sides = side_rows(_judge(bench, "sides"), samples, asked, bench.views)
    judges = [*_judge_rows(bench, "kinds"), *_judge_rows(bench, "sides")]
    report.rows += [*kinds.rows, *colors.rows, *sides.rows, *judges]
    for name, judgement in (("kinds", kinds), ("colors", colors), ("sides", sides)):
        report.details[f"confusion of {name}"] = judgement.confusion
    sheets.kinds_sheet(bench.out / "samples_by_kind.png", samples, asked, kinds.right)
    sheets.colors_sheet(bench.out / "samples_by_color.png", samples, asked, colors.right)
    fronted = fronted_kinds(bench.views.models)
    sheets.sides_sheet(bench.out / "samples_by_side.png", samples, asked, sides.right, fronted)


def measure_copies(bench: Bench, report: Report) -> None:
    """The training pictures nearest to samples."""
    effort = bench.effort.samples
    asked = questions(effort)
    samples = obtain_samples(bench.prior, asked, effort, bench.kept)
    report.rows += copy_rows(_judge(bench, "kinds"), samples, asked, bench.views, bench.effort.copies_every)


def measure_refinement(bench: Bench, report: Report, refine: Refine) -> None:
    """Colour on held-out meshes, shape on coarse ones."""
    effort = bench.effort.refinement
    subjects = held_out_subjects(bench.cache, bench.views.models)
    painted = colored(subjects, refine, effort)
    moved = reshaped(coarse_subjects(subjects, effort.subjects), refine, _judge(bench, "kinds"), effort)
    report.rows += [_colored_row(painted, effort), *_reshaped_rows(moved, effort)]
    report.details["refined colors"] = {one.prompt: one.found for one in painted}
    report.details["refined shapes"] = {one.name: _figures(one) for one in moved}
    report.times["median step of colour, ms"] = float(np.median([one.step_ms for one in painted]))
    sheets.colored_sheet(bench.out / "refined_color.png", painted)
    sheets.reshaped_sheet(bench.out / "refined_shape.png", moved)


def evaluate(bench: Bench, parts: Sequence[str], refine: Refine) -> Report:
    """The asked parts, in the order of ``PARTS``; what is found so far is written after each, and what it took."""
    measures: dict[str, Callable[[Report], None]] = {
        "losses": lambda report: measure_losses(bench, report),
        "together": lambda report: measure_together(bench, report),
        "samples": lambda report: measure_samples(bench, report),
        "copies": lambda report: measure_copies(bench, report),
        "refinement": lambda report: measure_refinement(bench, report, refine),
    }
    report = Report()
    for part in PARTS:
        if part in parts:
            start = time.monotonic()
            measures[part](report)
            report.times[f"{part}, s"] = time.monotonic() - start
            _log.info("%s measured in %.0f s", part, time.monotonic() - start)
            write(bench, report)
    return report


def write(bench: Bench, report: Report) -> None:
    """evaluation.json and evaluation.md, the same for the same weights; times go to times.json."""
    bench.out.mkdir(parents=True, exist_ok=True)
    found = {
        "weights_sha256": bench.folder.sha256,
        "effort": asdict(bench.effort),
        "rows": [_plain(row) for row in report.rows],
        **report.details,
    }
    _write(bench.out / "evaluation.json", json.dumps(found, indent=1, ensure_ascii=False))
    _write(bench.out / "evaluation.md", markdown(report.rows))
    _write(bench.out / "times.json", json.dumps(report.times, indent=1))


def main(refine_with: Callable[[StarterPrior], Refine]) -> None:
    """The command line; ``refine_with`` makes refinement under a prior."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where `make prior-data` put the views")
    parser.add_argument("--folder", type=Path, default=SHIPPED, help="folder of the prior to measure")
    parser.add_argument("--out", type=Path, default=Path("out/prior"))
    parser.add_argument("--effort", choices=("quick", "full"), default="full")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    folder = load_folder(arguments.folder, torch.device("cpu"))
    prior = StarterPrior(folder, torch.device("cpu"))
    effort = FULL if arguments.effort == "full" else QUICK
    views = load_views(arguments.cache / "views")
    together = load_folder(arguments.folder, torch.device("cpu"))
    bench = Bench(folder, prior, views, effort, arguments.cache, arguments.out, together)
    report = evaluate(bench, arguments.only, refine_with(prior))
    _log.info("%s\n\nTable and sheets: %s", markdown(report.rows), arguments.out)


def _lesson(bench: Bench, name: JudgeName, held_out: bool) -> Lesson:
    return (kind_lesson if name == "kinds" else side_lesson)(bench.views, held_out)


def _judge(bench: Bench, name: JudgeName) -> Judge:
    return obtain_judge(name, _lesson(bench, name, held_out=False), bench.effort.judges[name], bench.kept)


def _judge_rows(bench: Bench, name: JudgeName) -> list[Row]:
    effort = bench.effort
    held_out = examine(_judge(bench, name), _lesson(bench, name, held_out=True), mirrored_too=name == "kinds")
    crossed = None
    if effort.folds:
        lesson = _lesson(bench, name, held_out=False)
        crossed = cross_examine(name, bench.views.models, lesson, effort.judges[name], bench.kept, effort.folds)
    if name == "sides":
        held_out, crossed = merged_sides(held_out), crossed and merged_sides(crossed)
    return judge_rows(name, held_out, crossed)


def _colored_row(painted: Sequence[Colored], effort: RefineEffort) -> Row:
    how = f"{len(painted)} held-out meshes × 8 unseen views, unshaded, {effort.appearance_steps} steps; bootstrap over meshes"
    what = "refined colour, right word"
    return Row(what, *bootstrap_mean(right_shares(painted), 0), how, 0.85, percent=True)


def _reshaped_rows(moved: Sequence[Reshaped], effort: RefineEffort) -> list[Row]:
    tests = {
        "log-odds of the kind up": lambda one: one.after > one.before,
        "up more than shrunk or smoothed as far": lambda one: one.after > max(one.shrunk, one.smooth),
        "up more than under a wrong prompt": lambda one: one.after > one.wrong,
    }
    shares = "; ".join(f"{name} {sum(map(test, moved))} of {len(moved)}" for name, test in tests.items())
    how = f"blobs and boxes, {effort.geometry_steps} steps, by shape alone from 8 unseen views: {shares}"
    gains = np.array([one.after - one.before for one in moved])
    controls = np.array([max(one.shrunk, one.smooth, one.wrong) - one.before for one in moved])
    told = f"mean gain in log-odds; the best control of each subject gains {controls.mean():+.2f}"
    hits = sum(one.better for one in moved)
    return [
        Row("refined shape, better than all controls", *wilson(hits, len(moved)), how, 0.80, percent=True),
        Row("refined shape, gain", *bootstrap_mean(gains, 0), told),
    ]


def _figures(one: Reshaped) -> dict[str, float]:
    names = ("before", "after", "shrunk", "smooth", "wrong", "moved")
    return {name: round(float(getattr(one, name)), 4) for name in names}


def _plain(row: Row) -> Mapping[str, object]:
    """With null for what is not a number: JSON has none."""
    return {name: None if value != value else value for name, value in asdict(row).items()} | {"verdict": row.verdict}


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")

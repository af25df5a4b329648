"""The rows that look at samples: their kind, their colour, their side, and whether they are copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.priors.starter.training.dataset import ViewSet, to_tensor
from maquette_backend.priors.starter.training.evaluation.asking import COLORS, Asked
from maquette_backend.priors.starter.training.evaluation.colors import ceiling, confusion, shown_color
from maquette_backend.priors.starter.training.evaluation.judge import Judge, judged
from maquette_backend.priors.starter.training.evaluation.judges import KINDS, SIDE_NAMES, Exam, fronted_kinds
from maquette_backend.priors.starter.training.evaluation.nearest import COPY_RATIO, Neighbours, nearest
from maquette_backend.priors.starter.training.evaluation.rows import Row, bootstrap_mean, wilson

Confusion = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Judgement:
    """What came out for every sample, beside the rows."""

    rows: list[Row]
    right: dict[int, bool]
    """By number of the sample, those that were judged."""
    confusion: Confusion


def kind_rows(judge: Judge, samples: Tensor, asked: Sequence[Asked]) -> Judgement:
    """The judge's kind against the asked one."""
    answers = judged(judge, samples).argmax(1).numpy()
    wanted = np.array([one.kind for one in asked])
    hits = answers == wanted
    by_kind = {name: hits[wanted == kind].mean() for kind, name in enumerate(KINDS)}
    how = ", ".join(f"{name} {100 * share:.0f} %" for name, share in by_kind.items())
    row = Row("kind of samples", *wilson(int(hits.sum()), len(hits)), how, 0.70, percent=True)
    table = confusion([KINDS[kind] for kind in wanted], [KINDS[kind] for kind in answers])
    return Judgement([row], dict(enumerate(hits.tolist())), table)


def color_rows(samples: Tensor, asked: Sequence[Asked], views: ViewSet) -> Judgement:
    """The measured colour word against the asked one, of the samples that were asked for one."""
    members = [number for number, one in enumerate(asked) if one.color]
    found = shown_color(samples[members], [asked[number].elevation_deg for number in members])
    wanted = [asked[number].color for number in members]
    hits = [word == want for word, want in zip(found, wanted, strict=True)]
    shares = {word: np.mean([hit for hit, want in zip(hits, wanted, strict=True) if want == word]) for word in COLORS}
    how = ", ".join(f"{word} {100 * share:.0f} %" for word, share in shares.items())
    rows = [
        Row("colour word of samples", *wilson(sum(hits), len(hits)), how, 0.85, percent=True),
        _ceiling_row(views),
    ]
    return Judgement(rows, dict(zip(members, hits, strict=True)), confusion(wanted, found))


def _ceiling_row(views: ViewSet) -> Row:
    shares = ceiling(views)
    how = f"single renders of {len(shares)} held-out models, bootstrap over models: the method's ceiling"
    return Row("colour word of held-out renders", *bootstrap_mean(shares, 0), how, percent=True)


def side_rows(judge: Judge, samples: Tensor, asked: Sequence[Asked], views: ViewSet) -> Judgement:
    """The judge's side against the asked one, of the kinds that look different from every side."""
    kinds = fronted_kinds(views.models)
    members = [number for number, one in enumerate(asked) if KINDS[one.kind] in kinds]
    answers = judged(judge, samples[members], mirrored_too=False).argmax(1).numpy()
    wanted = np.array([asked[number].side for number in members])
    exact, merged = answers == wanted, _merged(answers) == _merged(wanted)
    by_side = {name: exact[wanted == side].mean() for side, name in enumerate(SIDE_NAMES)}
    how = f"{len(members)} samples of {', '.join(kinds)}"
    exact_how = ", ".join(f"{name} {100 * share:.0f} %" for name, share in by_side.items())
    rows = [
        Row("side of samples, front / back / side", *wilson(int(merged.sum()), len(merged)), how, 0.75, percent=True),
        Row("side of samples, left and right apart", *wilson(int(exact.sum()), len(exact)), exact_how, percent=True),
    ]
    table = confusion([SIDE_NAMES[side] for side in wanted], [SIDE_NAMES[side] for side in answers])
    return Judgement(rows, dict(zip(members, merged.tolist(), strict=True)), table)


def judge_rows(label: str, held_out: Exam, crossed: Exam | None) -> list[Row]:
    """How far a judge can be trusted: its own answers on renders that it never saw."""
    rows = []
    for exam, of in ((held_out, "held-out models"), (crossed, "all training models, each judged without its name")):
        if exam is not None:
            shares = exam.by_model()
            how = f"{len(exam.labels)} renders of {len(shares)} {of}; mean over classes {100 * exam.by_class().mean():.1f} %"
            rows.append(Row(f"judge of {label}, right on {of.split(',')[0]}", *bootstrap_mean(shares, 0), how, percent=True))
    return rows


def merged_sides(exam: Exam) -> Exam:
    """Left and right as one class, as the gate has it."""
    return Exam(_merged(exam.labels), _merged(exam.answers), exam.models)


def copy_rows(judge: Judge, samples: Tensor, asked: Sequence[Asked], views: ViewSet, every: int) -> list[Row]:
    """Distances of samples, of held-out renders and of known copies to the nearest training picture."""
    found = nearest(judge, views, samples, every)
    renders = nearest(judge, views, _some_renders(views, held_out=True, every=every), every)
    copies = nearest(judge, views, _known_copies(views, every), every)
    nearest_kinds = [views.models[row].kind for row in found.model.tolist()]
    differing = [n for n, kind in enumerate(nearest_kinds) if found.copies[n] and kind != KINDS[asked[n].kind]]
    quartiles = "; ".join(f"{label} {_quartiles(one)}" for label, one in (("samples", found), ("held-out renders", renders)))
    alarms = f"{_percent(renders.copies)} of held-out renders and {_percent(copies.copies)} of noisy copies are called so"
    how = f"nearest model under {COPY_RATIO:g} × the mean of 50; {alarms}"
    nan = float("nan")
    return [
        Row("samples that are copies while their prompt differs", float(len(differing)), nan, nan, "kind differs", most=0.0),
        Row("samples that are copies", *wilson(int(found.copies.sum()), len(found.copies)), how, percent=True),
        Row("median distance of a sample to training", float(np.median(found.distance)), nan, nan, f"quartiles: {quartiles}"),
    ]


def _merged(sides: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(sides == 3, 1, sides)


def _some_renders(views: ViewSet, held_out: bool, every: int, per_model: int = 4) -> Tensor:
    rows = [row for row, model in enumerate(views.models) if model.held_out == held_out and model.kind in KINDS]
    shots = np.random.default_rng(13).integers(0, views.images.shape[1] // every, (len(rows), per_model)) * every
    chosen = views.images[np.repeat(rows, per_model), shots.reshape(-1)]
    return to_tensor(chosen).contiguous()


def _known_copies(views: ViewSet, every: int, count: int = 100) -> Tensor:
    """Training pictures under a little noise: what must be called copies."""
    renders = _some_renders(views, held_out=False, every=every, per_model=1)[:count]
    noise = torch.randn(renders.shape, generator=torch.Generator().manual_seed(17))
    return (renders + 0.05 * noise).clamp(-1, 1)


def _quartiles(found: Neighbours) -> str:
    return " / ".join(f"{value:.2f}" for value in np.percentile(found.distance, (25, 50, 75)))


def _percent(flags: NDArray[np.bool_]) -> str:
    return f"{100 * flags.mean():.0f} %"

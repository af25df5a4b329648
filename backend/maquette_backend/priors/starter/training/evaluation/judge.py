"""A judge: a small convolutional classifier of pictures, trained apart from the prior, on renders only."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from maquette_backend.priors.starter import picture

_CHANNELS = (32, 64, 128, 128)
_BATCH = 128


class Judge(nn.Module):
    """Pictures [B,7,64,64] in −1..1 → logits [B,classes].

    It looks at them at half their size: what a thing is shows there, and what a sample gets wrong in fine detail
    is not what is asked.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        one, two, three, four = _CHANNELS
        self.stages = nn.ModuleList(
            [
                _convolution(picture.CHANNELS, one, 1),
                nn.Sequential(_convolution(one, two, 2), _convolution(two, two, 1)),
                nn.Sequential(_convolution(two, three, 2), _convolution(three, three, 1)),
                _convolution(three, four, 2),
            ]
        )
        self.drop = nn.Dropout(0.3)
        # four quarters are kept apart: where a thing has its mass tells a lamp from a table
        self.head = nn.Linear(4 * four + four, classes)

    def activations(self, pictures: Tensor) -> list[Tensor]:
        """Of every stage, [B,C,S,S]."""
        pictures = F.avg_pool2d(pictures, 2).contiguous(memory_format=torch.channels_last)
        found = []
        for stage in self.stages:
            pictures = stage(pictures)
            found.append(pictures)
        return found

    def forward(self, pictures: Tensor) -> Tensor:
        """The logits."""
        last = self.activations(pictures)[-1].float()
        pooled = torch.cat([F.adaptive_avg_pool2d(last, 2).flatten(1), last.amax((2, 3))], 1)
        return self.head(self.drop(pooled))


def _convolution(before: int, after: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    # channels last is faster on a CPU
    convolution.weight = nn.Parameter(convolution.weight.detach().contiguous(memory_format=torch.channels_last))
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


@torch.no_grad()
def judged(judge: Judge, pictures: Tensor, mirrored_too: bool = True) -> Tensor:
    """Logits [B,classes] of pictures [B,7,64,64] in −1..1, averaged over the picture and its mirror image."""
    parts = []
    for chunk in pictures.clamp(-1, 1).split(_BATCH):
        logits = judge(chunk)
        parts.append((logits + judge(mirrored(chunk))) / 2 if mirrored_too else logits)
    return torch.cat(parts)


def mirrored(pictures: Tensor) -> Tensor:
    """Pictures [B,7,S,S] left to right; the normals' x changes its sign."""
    flipped = pictures.flip(-1)
    flipped[:, picture.NORMAL.start] *= -1
    return flipped


def log_odds(logits: Tensor, wanted: int) -> Tensor:
    """log p/(1 − p) of one class [B]; unlike p it still grows where p is near 1."""
    others = torch.cat([logits[:, :wanted], logits[:, wanted + 1 :]], 1)
    return logits[:, wanted] - others.logsumexp(1)


def save_judge(path: Path, judge: Judge, about: dict[str, str]) -> None:
    """Weights and what they were made of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in judge.state_dict().items()}, path, about)


def load_judge(path: Path, classes: int) -> Judge:
    """In evaluation mode. Raises RuntimeError if the file holds another judge."""
    judge = Judge(classes)
    judge.load_state_dict(load_file(path))
    return judge.eval().requires_grad_(False)

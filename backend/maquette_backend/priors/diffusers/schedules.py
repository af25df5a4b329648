"""What a network's input and output mean: its noise schedule and what it predicts, brought to the protocol's terms.

Every schedule here speaks of noisy pictures ``z = alpha x0 + sigma eps`` with alpha² + sigma² = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction", "sample"]
_LEAST_ALPHA = 1e-4
"""A schedule that ends in pure noise tells nothing about x0 there; this keeps the division finite."""


class NoiseSchedule(Protocol):
    """Between the protocol's times and noisy pictures and a network's. Times are [B], pictures [B,C,H,W]."""

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Times in 0..1 → signal and noise scales, float32."""
        ...

    def network_time(self, time: Tensor) -> Tensor:
        """The number that the network is told for a time."""
        ...

    def network_input(self, noisy: Tensor, time: Tensor) -> Tensor:
        """What the network is shown of a noisy picture."""
        ...

    def clean(self, output: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """x̂₀ from the network's output."""
        ...

    def noise(self, output: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """ε̂ from the network's output."""
        ...


@dataclass(frozen=True)
class DiscreteSchedule:
    """DDPM's schedule (Ho et al. 2020): ᾱ for each of the steps the network was trained on.

    A time is a fraction of the steps, rounded to the nearest: the network knows no others.
    """

    alphas_cumprod: Tensor
    """[steps], falling."""
    prediction: Prediction

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.alphas_cumprod.to(time.device)[self.network_time(time)]
        return kept.sqrt(), (1 - kept).sqrt()

    def network_time(self, time: Tensor) -> Tensor:
        last = len(self.alphas_cumprod) - 1
        return (time * last).round().long().clamp(0, last)

    def network_input(self, noisy: Tensor, time: Tensor) -> Tensor:
        return noisy

    def clean(self, output: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """v-prediction: Salimans and Ho 2022, v = alpha eps − sigma x0, so x0 = alpha z − sigma v."""
        alpha, sigma = self._scales(time, noisy)
        if self.prediction == "sample":
            return output
        if self.prediction == "v_prediction":
            return alpha * noisy - sigma * output
        return (noisy - sigma * output) / alpha.clamp(min=_LEAST_ALPHA)

    def noise(self, output: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        alpha, sigma = self._scales(time, noisy)
        if self.prediction == "epsilon":
            return output
        if self.prediction == "v_prediction":
            return alpha * output + sigma * noisy
        return (noisy - alpha * output) / sigma

    def _scales(self, time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.alpha_sigma(time)
        return alpha.to(like).view(-1, 1, 1, 1), sigma.to(like).view(-1, 1, 1, 1)


@dataclass(frozen=True)
class FlowSchedule:
    """Rectified flow (Liu et al. 2023; Esser et al. 2024): ``x_t = (1 − t) x0 + t eps``, the network gives eps − x0.

    That picture has not unit scale. With ``s = sqrt((1 − t)² + t²)`` the protocol's is ``z = x_t / s``, alpha =
    (1 − t) / s and sigma = t / s; the network is shown ``s z``. The same x0 and eps belong to both, so every
    gradient is that of a discrete schedule at equal alpha / sigma.

    A time u is a fraction of the steps before the schedule's shift: t = shift u / (1 + (shift − 1) u).
    """

    steps: int
    """The network is told t times this."""
    shift: float = 1.0

    def alpha_sigma(self, time: Tensor) -> tuple[Tensor, Tensor]:
        t = self._flow_time(time.float())
        scale = ((1 - t) ** 2 + t**2).sqrt()
        return (1 - t) / scale, t / scale

    def network_time(self, time: Tensor) -> Tensor:
        return self._flow_time(time.float()) * self.steps

    def network_input(self, noisy: Tensor, time: Tensor) -> Tensor:
        t = self._flow_time(time).to(noisy).view(-1, 1, 1, 1)
        return noisy * ((1 - t) ** 2 + t**2).sqrt()

    def clean(self, output: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """x0 = x_t − t v: exact at both ends, nothing is divided."""
        t = self._flow_time(time).to(noisy).view(-1, 1, 1, 1)
        return self.network_input(noisy, time) - t * output

    def noise(self, output: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        """eps = x_t + (1 − t) v."""
        t = self._flow_time(time).to(noisy).view(-1, 1, 1, 1)
        return self.network_input(noisy, time) + (1 - t) * output

    def _flow_time(self, time: Tensor) -> Tensor:
        return self.shift * time / (1 + (self.shift - 1) * time)


def discrete_schedule(config: dict[str, Any]) -> DiscreteSchedule:
    """From any DDPM-like scheduler's configuration. Raises ValueError for a prediction that is not known."""
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction", "sample"):
        raise ValueError(f"its network predicts “{prediction}”, which is not known")
    # every scheduler of this kind has the same betas; this class also does the rescale to zero signal at the end
    scheduler: Any = DDIMScheduler.from_config(config)
    return DiscreteSchedule(scheduler.alphas_cumprod.to(torch.float32), prediction)


def flow_schedule(config: dict[str, Any]) -> FlowSchedule:
    """From a flow-matching scheduler's configuration. Raises ValueError if its shift depends on the picture's size."""
    if config.get("use_dynamic_shifting"):
        raise ValueError("its schedule is shifted by the picture's size, which is not supported")
    return FlowSchedule(int(config.get("num_train_timesteps", 1000)), float(config.get("shift", 1.0)))

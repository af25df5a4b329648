"""From a method's name to a distiller."""

from __future__ import annotations

from torch import Tensor

from maquette_backend.guidance.camera_guided import CameraGuided, CgLoraSettings, Directed
from maquette_backend.guidance.catalogue import Method
from maquette_backend.guidance.csd import Csd
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.estimates import Estimator, classifier_free
from maquette_backend.guidance.ism import Ism
from maquette_backend.guidance.prompts import view_prompt
from maquette_backend.guidance.render_score import LoraRenderScore
from maquette_backend.guidance.sds import Sds
from maquette_backend.guidance.sjc import Sjc
from maquette_backend.guidance.vsd import Vsd
from maquette_backend.priors.denoiser import HasDenoiser
from maquette_backend.priors.prior import Prior, Views


def build_distiller(
    method: Method,
    prior: Prior,
    prompt: str = "",
    cg_lora: CgLoraSettings | None = None,
    estimator: Estimator = classifier_free,
) -> Distiller:
    """The way called ``method``, with CG-LoRA and attention-mask alignment around it where settings for them are given.

    ``prompt`` names the subject, for CG-LoRA's words for the side. Call ``close`` when the stage ends: "vsd" and CG-LoRA
    add to the prior's network, which jobs share. Raises ValueError if they are asked for and the prior does not let
    anyone into its network.
    """
    inner: Distiller
    if method == "sds":
        inner = Sds(estimator)
    elif method == "csd":
        inner = Csd()
    elif method == "vsd":
        inner = Vsd(LoraRenderScore(opened(prior)), estimator)
    elif method == "ism":
        inner = Ism(estimator=estimator)
    else:
        inner = Sjc(estimator=estimator)
    if cg_lora is None:
        return inner
    try:
        return CameraGuided(opened(prior), inner, cg_lora, side_words(prior, prompt) if prompt else None)
    except Exception:
        inner.close()
        raise


def opened(prior: Prior) -> HasDenoiser:
    """The same prior, as one whose network may be adapted. Raises ValueError if it is none."""
    if isinstance(prior, HasDenoiser):
        return prior
    raise ValueError(f"the prior {prior.identity} does not let guidance into its network: use sds, csd, ism or sjc")


def side_words(prior: Prior, prompt: str) -> Directed:
    """CG-LoRA's text: the prompt with the side that is seen (X-Dreamer)."""

    def conditions(views: Views) -> Tensor:
        angles = zip(views.azimuth.tolist(), views.elevation.tolist(), strict=True)
        return prior.encode_text([view_prompt(prompt, *angle) for angle in angles]).data

    return conditions

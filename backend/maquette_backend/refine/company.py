"""All priors that a recipe names, loaded: its own and the further ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Control, FurtherPrior, Guidance, Recipe

from maquette_backend.guidance.build import build_distiller
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.from_recipe import Part, check_further_fits, check_guidance_fits, distiller_of
from maquette_backend.guidance.several import Several, Voice
from maquette_backend.priors.control import ControlNet, HearsControls
from maquette_backend.priors.notices import GivesWay
from maquette_backend.priors.prior import Prior, Settings
from maquette_backend.refine.hints import Controlled
from maquette_backend.refine.stage_settings import StageSettings
from maquette_backend.refine.viewpoints import check_views
from maquette_backend.refine.voices import Voices


@runtime_checkable
class KeepsSeveral(Protocol):
    """A loader of priors that can hold more than the last."""

    def __call__(self, name: str) -> Prior: ...

    def expect(self, names: Collection[str]) -> None:
        """The next job asks for these: whatever else is held is let go, and these are held side by side."""
        ...


@runtime_checkable
class LoadsControls(Protocol):
    """A loader of priors that has ControlNets, too."""

    def __call__(self, name: str) -> Prior: ...

    def expect(self, names: Collection[str], controls: Collection[str] = ()) -> None:
        """As ``KeepsSeveral``, for both."""
        ...

    def control(self, name: str) -> ControlNet:
        """The ControlNet of that name."""
        ...


@dataclass(frozen=True)
class Company:
    """The recipe's own prior, and those that are asked besides. Implements ``GivesWay`` by those that do."""

    prior: Prior
    further: tuple[tuple[FurtherPrior, Prior], ...] = ()
    controls: tuple[Controlled, ...] = ()

    @property
    def speakers(self) -> tuple[object, ...]:
        """All that may have something to tell."""
        return (self.prior, *(prior for _, prior in self.further), *(one.control for one in self.controls))

    @property
    def can_give_way(self) -> bool:
        return bool(self._yielding())

    def give_way(self) -> None:
        self._yielding()[0].give_way()

    def _yielding(self) -> list[GivesWay]:
        return [one for one in self.speakers if isinstance(one, GivesWay) and one.can_give_way]


def gather(recipe: Recipe, priors: Callable[[str], Prior]) -> Company:
    """Load what the recipe names, and check that each can do what it is asked for.

    Raises:
        MaquetteError: UNKNOWN_PRIOR or OUT_OF_MEMORY from loading; INVALID_RECIPE, a prior does not fit.
    """
    names = [recipe.prior, *(one.name for one in recipe.further_priors)]
    if isinstance(priors, LoadsControls):
        priors.expect(names, [one.name for one in recipe.controls])
    elif isinstance(priors, KeepsSeveral):
        priors.expect(names)
    prior = priors(recipe.prior)
    check_views(recipe, recipe.prior, prior.settings)
    check_guidance_fits(recipe.guidance, prior, recipe.prior)
    further = tuple((one, priors(one.name)) for one in recipe.further_priors)
    for one, loaded in further:
        check_views(recipe, one.name, loaded.settings)
        check_further_fits(one, loaded)
    return Company(prior, further, tuple(_controlled(one, recipe.prior, prior, priors) for one in recipe.controls))


def _controlled(asked: Control, name: str, prior: Prior, priors: Callable[[str], Prior]) -> Controlled:
    """A ControlNet, loaded, of which the prior of that name can hear."""
    if not isinstance(prior, HearsControls) or not isinstance(priors, LoadsControls):
        text = f"The prior “{name}” hears no ControlNet, and the recipe names “{asked.name}”."
        raise MaquetteError(ErrorCode.INVALID_RECIPE, text, "Choose Stable Diffusion 1, 2 or XL, or leave it out.")
    control = priors.control(asked.name)
    try:
        prior.check_control(control)
    except ValueError as error:
        text = f"The ControlNet “{asked.name}” does not go with “{name}”: {error}."
        raise MaquetteError(ErrorCode.INVALID_RECIPE, text, "Choose one that was made for this base model.") from error
    return Controlled(control, asked.weight)


@contextmanager
def distilling(recipe: Recipe, company: Company, part: Part, prompt: str) -> Iterator[Distiller]:
    """Within it the priors' networks may hold what the ways add to them; after it, they are as they were."""
    with ExitStack() as stack:
        distiller = distiller_of(recipe.guidance, part, company.prior, prompt)
        stack.callback(distiller.close)
        voices = []
        for one, prior in company.further:
            own = build_distiller(one.method, prior)
            stack.callback(own.close)
            voices.append(Voice(one.name, prior, own, one.weight))
        plain = not voices and recipe.prior_weight == 1
        yield distiller if plain else Several(distiller, recipe.prior_weight, tuple(voices))


def voices_of(recipe: Recipe, distiller: Distiller | None, settings: Callable[[Recipe, Settings], StageSettings]) -> Voices:
    """The further priors in a stage that ``distiller`` of ``distilling`` guides, each with what ``settings`` makes of what it
    is asked for and what it advises: the same that makes the stage's own."""
    if not isinstance(distiller, Several):
        return Voices()
    asked = {one.name: own_recipe(recipe, one) for one in recipe.further_priors}
    return Voices(
        distiller.further, {one.name: settings(asked[one.name], one.prior.settings) for one in distiller.further}
    )


def own_recipe(recipe: Recipe, further: FurtherPrior) -> Recipe:
    """What a further prior is asked for: its scales and method, its own advice in everything else but the rescale."""
    guidance = Guidance(
        further.geometry_scale, further.appearance_scale, method=further.method, rescale=recipe.guidance.rescale
    )
    return replace(recipe, prior=further.name, guidance=guidance)

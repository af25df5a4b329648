"""CG-LoRA in a small diffusers network and in the starter's: starts as nothing, is what it says, leaves no trace."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from gaussian_prior import GaussianPrior
from maquette_backend.guidance.adapted import PROJECTIONS, Adaptation, HookedProcessor, attention_layers
from maquette_backend.guidance.ama import alignment_loss
from maquette_backend.guidance.build import build_distiller
from maquette_backend.guidance.camera_guided import CameraGuided, CgLoraSettings, coverage
from maquette_backend.guidance.cg_lora import CAMERA_SIZE, CgLora, camera_vector, targets_of
from maquette_backend.guidance.cg_lora_session import CgLoraSession
from maquette_backend.guidance.guided import Distillation, Question
from maquette_backend.guidance.sds import Sds
from maquette_backend.priors.prior import Views
from maquette_backend.priors.starter.starter_prior import load_starter
from tiny_prior import SIDE, TOKENS, WIDTH, TinyPrior, randn, tiny_question, tiny_views
from torch import Tensor, nn


def awake(session: CgLoraSession, seed: int = 3, size: float = 0.3) -> CgLoraSession:
    """With an ``up`` that is not 0, in double precision."""
    session.lora.double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for up in session.lora.up:
            up.copy_(size * torch.randn(up.shape, generator=generator))
    return session


def told_and_untold(asked: Question) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return asked.prior.predict_told_and_untold(
            asked.noisy(), asked.time, asked.text, asked.negative, asked.views, asked.modality
        )


def tree(network: nn.Module) -> list[tuple[str, int, int, int, int, object]]:
    """Every module, its hooks and its processor."""
    return [
        (
            name,
            id(module),
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            len(list(module.parameters())),
            getattr(module, "processor", None),
        )
        for name, module in network.named_modules()
    ]


def test_stable_diffusions_adapters_have_the_papers_size() -> None:
    """Stable Diffusion 2.1's blocks: 16 cross-attention layers and 1.65 million numbers, the camera's encoder apart."""
    with torch.device("meta"):
        network = UNet2DConditionModel(cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20))
        layers = attention_layers(network, cross_only=True)
        targets = targets_of(layers)
    assert len(layers) == 16
    per_target = [2 * (4 * 1024 + 8 * target.inputs) + 4 * target.outputs for target in targets]
    assert sum(per_target) == 1_647_616
    small = CgLora(targets[:4], 1024)
    generated = sum(p.numel() for name, p in small.named_parameters() if not name.startswith("camera"))
    assert generated == sum(per_target[:4])
    assert sum(p.numel() for p in small.camera.parameters()) == 7 * 512 + 513 * 1024


def test_text_makes_the_upper_half_of_a_down_matrix_and_the_camera_the_lower() -> None:
    lora = CgLora(targets_of(attention_layers(TinyPrior().network, cross_only=True)), WIDTH).double()
    camera, text = randn(2, CAMERA_SIZE, seed=1), randn(2, WIDTH, seed=2)
    before, other_text, other_camera = lora(camera, text), lora(camera, text + 1), lora(camera + 1, text)
    for target, a, b, c in zip(lora.targets, before, other_text, other_camera, strict=True):
        half = target.inputs // 2
        assert a.shape == (2, target.inputs, 4)
        assert torch.equal(a[:, half:], b[:, half:])
        assert torch.equal(a[:, :half], c[:, :half])
        assert float((a[:, :half] - b[:, :half]).detach().abs().min()) > 0
        assert float((a[:, half:] - c[:, half:]).detach().abs().mean()) > 0


def test_generators_start_xavier_uniform() -> None:
    lora = CgLora(targets_of(attention_layers(TinyPrior().network, cross_only=True)), WIDTH)
    assert all(not bool(up.any()) for up in lora.up)
    for matrix in [*lora.first.flatten(0, 1), *(half for second in lora.second for half in second)]:
        bound = math.sqrt(6 / sum(matrix.shape))
        assert float(matrix.detach().abs().max()) <= bound
        assert float(matrix.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.35)


def test_camera_vector_by_hand() -> None:
    """From the right (90°), level, two away: at (2, 0, 0)."""
    one = torch.ones(1)
    vector = camera_vector(Views(math.pi / 2 * one, 0 * one, 2 * one, math.radians(45) * one))[0]
    expected = [1 / (1 + math.exp(-2)), 0.5, 0.5, 10 / 55, 270 / 360, 1.0]
    assert vector.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("joined", [True, False])
def test_one_sample_is_the_network_with_the_product_added_to_its_weights(joined: bool) -> None:
    """The reference: y = (W + up Aᵀ) x, in an ordinary network; told and untold have different A."""
    asked = tiny_question(TinyPrior(joined))
    first = lambda values: values[:1]  # noqa: E731
    asked = replace(
        asked,
        **{name: first(getattr(asked, name)) for name in ("encoded", "text", "negative", "time", "noise", "mask")},
        views=tiny_views(1),
    )
    session = awake(CgLoraSession(asked.prior))  # pyright: ignore[reportArgumentType]
    telling = session.telling_of(asked)
    with session.telling(telling):
        got = told_and_untold(asked)
    session.close()
    for result, text, summary in zip(
        got, (asked.text, asked.negative), (telling.told, telling.untold[None]), strict=True
    ):
        merged = TinyPrior()
        downs = session.lora(telling.camera, summary)
        layers = {layer.name: layer for layer in attention_layers(merged.network, cross_only=True)}
        with torch.no_grad():
            for target, down, up in zip(session.lora.targets, downs, session.lora.up, strict=True):
                layers[target.layer].linear(target.projection).weight += up @ down[0].T
            expected = merged.predict_denoised(asked.noisy(), asked.time, text, None, "color")
        torch.testing.assert_close(result, expected)
    assert float((got[0] - told_and_untold(asked)[0]).abs().max()) > 1e-3


def test_keys_and_values_of_all_layers_come_from_one_product_as_from_each_layers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = TinyPrior()
    session, asked = awake(CgLoraSession(prior)), tiny_question(prior)
    found = []
    for ready in (2 * len(session.adaptation.layers), 0):
        with session.telling(session.telling_of(asked)):
            found.append(told_and_untold(asked))
            assert len(session._generated.narrow) == ready
        assert session._generated.downs is None, "nothing that was generated outlives its telling"
        monkeypatch.setattr(CgLoraSession, "_narrow", lambda *given: {})
    session.close()
    for together, apart in zip(*found, strict=True):
        torch.testing.assert_close(together, apart)


def test_every_view_hears_its_own_camera_and_side() -> None:
    """A batch is its samples one by one, told and untold apart."""
    prior = TinyPrior()
    session = awake(CgLoraSession(prior))
    asked = tiny_question(prior)
    directed = prior.encode_text(["a sofa, front view", "a sofa, back view"]).data
    telling = session.telling_of(asked, directed)
    with session.telling(telling):
        together = told_and_untold(asked)
    for number in range(2):
        one = slice(number, number + 1)
        alone = replace(
            asked,
            **{name: getattr(asked, name)[one] for name in ("encoded", "text", "negative", "time", "noise")},
            views=Views(*(part[one] for part in vars(asked.views).values())),
        )
        with session.telling(session.telling_of(alone, directed[one])):
            for part, expected in zip(told_and_untold(alone), together, strict=True):
                torch.testing.assert_close(part, expected[one])
    with session.telling(session.telling_of(asked)):
        assert not torch.allclose(told_and_untold(asked)[0], together[0])  # the side is heard
    session.close()


def test_nothing_is_added_at_the_start_nor_outside_telling() -> None:
    prior = TinyPrior()
    asked = tiny_question(prior)
    plain = told_and_untold(asked)
    session = CgLoraSession(prior)
    session.lora.double()
    with session.telling(session.telling_of(asked)):
        assert all(torch.equal(*pair) for pair in zip(told_and_untold(asked), plain, strict=True))
    awake(session)
    assert all(torch.equal(*pair) for pair in zip(told_and_untold(asked), plain, strict=True))
    session.close()


def starter_question() -> Question:
    starter = load_starter(torch.device("cpu"))
    text, negative = (starter.encode_text([words] * 2).data for words in ("a red sofa", ""))
    picture, noise = randn(2, 7, 64, 64, seed=1).float(), randn(2, 7, 64, 64, seed=2).float()
    time = torch.tensor([0.4, 0.8])
    return Question(starter, picture, text, negative, tiny_views(2), time, noise, "joint", Distillation(7.0))


def test_the_starters_network_is_the_same_at_the_start_and_after_removal_bit_by_bit() -> None:
    """Trained in between: evaluated from two threads, its outputs do change."""
    asked = starter_question()
    network = asked.prior.denoiser()  # pyright: ignore[reportAttributeAccessIssue]
    before, plain = tree(network), Sds().guide(asked).denoised
    state = {name: value.clone() for name, value in network.state_dict().items()}
    guided = build_distiller("sds", asked.prior, "a red sofa", CgLoraSettings(every=1, rate=0.05))
    assert torch.equal(guided.guide(asked).denoised, plain)
    assert list(network.state_dict()) == list(state)
    assert not torch.equal(guided.guide(asked).denoised, plain)
    guided.close()
    guided.close()
    assert tree(network) == before
    assert torch.equal(Sds().guide(asked).denoised, plain)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in state.items())
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("denoising", [0.0, 0.1])
def test_alignment_reaches_every_adapter_by_finite_differences(denoising: float) -> None:
    """A random direction through each kind of parameter of all layers, against central differences."""
    prior = TinyPrior()
    asked = tiny_question(prior)
    guided = CameraGuided(prior, Sds(), CgLoraSettings(alignment_weight=1.0, denoising_weight=denoising))
    session = awake(guided.session)
    telling = session.telling_of(asked)
    guided.loss(asked, telling).backward()
    for kind in ("camera", "first", "second", "up"):
        parameters = [p for name, p in session.lora.named_parameters() if name.partition(".")[0] == kind]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        directions = [randn(*p.shape, seed=number) / p.numel() ** 0.5 for number, p in enumerate(parameters)]
        step, losses = 1e-5, []
        for sign in (1, -2, 1):  # there, to the other side, and back
            with torch.no_grad():
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter += sign * step * direction
                if sign != 1 or not losses:
                    losses.append(float(guided.loss(asked, telling)))
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
        assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope, rel=1e-3), kind
        assert abs(slope) > 1e-6, kind
    guided.close()


@pytest.mark.parametrize("denoising", [0.0, 1.0])
def test_learning_lowers_its_own_loss_and_touches_nothing_else(denoising: float) -> None:
    prior = TinyPrior()
    asked = tiny_question(prior)
    weight = 0.0 if denoising else 1.0
    settings = CgLoraSettings(alignment_weight=weight, denoising_weight=denoising, rate=0.02, every=1)
    guided = CameraGuided(prior, Sds(), settings)
    guided.session.lora.double()
    telling = guided.session.telling_of(asked)
    losses = [guided.learn(asked, telling) for _ in range(15)]
    assert losses[-1] < (0.8 if not denoising else 0.98) * losses[0]
    assert all(parameter.grad is None for parameter in prior.network.parameters())
    guided.close()


def test_gradients_are_clipped_to_their_norm() -> None:
    prior = TinyPrior()
    asked = tiny_question(prior)
    guided = CameraGuided(prior, Sds(), CgLoraSettings(alignment_weight=1e6, clip=0.5, every=1))
    guided.session.lora.double()
    seen: list[float] = []
    guided.optimiser.register_step_pre_hook(
        lambda *args: seen.append(math.sqrt(sum(float(p.grad.square().sum()) for p in guided.session.lora.parameters() if p.grad is not None)))
    )
    guided.learn(asked, guided.session.telling_of(asked))
    assert seen == [pytest.approx(0.5, rel=1e-3)]
    guided.close()


def test_a_checkpoint_goes_on_where_it_stopped() -> None:
    """Five steps, or three, a checkpoint and two in a fresh object: the same to the last bit."""

    def fresh() -> tuple[CameraGuided, list[Question]]:
        prior = TinyPrior()
        guided = CameraGuided(prior, Sds(), CgLoraSettings(rate=0.02, every=2))
        guided.session.lora.double()
        return guided, [tiny_question(prior, seed=number) for number in range(5)]

    whole, questions = fresh()
    expected = [whole.guide(question).denoised for question in questions][-1]
    first, questions = fresh()
    for question in questions[:3]:
        first.guide(question)
    second, questions = fresh()
    second.restore(first.arrays())
    got = [second.guide(question).denoised for question in questions[3:]][-1]
    assert torch.equal(got, expected)
    assert all((second.arrays()[name] == array).all() for name, array in whole.arrays().items())
    with pytest.raises(RuntimeError, match="no camera-guided"):
        second.restore({})


def test_adapters_only_learn_when_it_is_their_turn() -> None:
    prior = TinyPrior()
    guided = CameraGuided(prior, Sds(), CgLoraSettings(every=3, start=0.5))
    guided.session.lora.double()
    taken: list[int] = []
    guided.learn = lambda question, telling: float(taken.append(number) or 0)  # type: ignore[method-assign]
    for number in range(8):
        guided.guide(replace(tiny_question(prior), progress=number / 8))
    assert taken == [6]  # 0 and 3 come before half of the stage
    guided.close()


def test_piles_of_processors_come_apart_in_any_order() -> None:
    network = TinyPrior().network
    layers = attention_layers(network, cross_only=False)
    before = tree(network)
    piles = [Adaptation(layers) for _ in range(3)]
    for number in (1, 2, 0):
        piles[number].close()
    assert tree(network) == before
    assert not any(isinstance(layer.attention.processor, HookedProcessor) for layer in layers)


def test_hooks_see_all_four_projections_and_can_change_them() -> None:
    prior = TinyPrior()
    (layer, *_) = attention_layers(prior.network, cross_only=True)
    adaptation = Adaptation([layer])
    asked, seen = tiny_question(prior), []
    plain = told_and_untold(asked)[0]
    undo = adaptation.hook(layer, lambda projection, x, y: (seen.append((projection, x.shape[1])), 2 * y)[1])
    assert not torch.allclose(told_and_untold(asked)[0], plain)
    assert dict(seen) == {"to_q": SIDE * SIDE, "to_k": TOKENS, "to_v": TOKENS, "to_out": SIDE * SIDE}
    assert [name for name, _ in seen[:4]] == list(PROJECTIONS)
    undo()
    assert torch.equal(told_and_untold(asked)[0], plain)
    adaptation.close()


def test_networks_without_attention_are_refused() -> None:
    with pytest.raises(ValueError, match="no cross-attention"):
        attention_layers(nn.Linear(2, 2), cross_only=True)


def test_the_mask_is_the_pictures_own_or_must_be_given() -> None:
    prior = GaussianPrior(lambda text, views, modality: torch.zeros(1), 0.4)
    picture = torch.zeros(1, 7, 2, 2)
    picture[0, 6] = torch.tensor([[-1.0, 1.0], [0.0, 3.0]])
    asked = Question(
        prior, picture, *(torch.zeros(1, 1),) * 2, tiny_views(1), torch.zeros(1), picture, "joint", Distillation(1.0)
    )
    assert torch.equal(coverage(asked)[0, 0], torch.tensor([[0.0, 1.0], [0.5, 1.0]]))
    with pytest.raises(ValueError, match="“color” don't show"):
        coverage(replace(asked, modality="color"))
    assert float(alignment_loss([torch.tensor([[0.0, 1.0, 0.5, 1.0]])], coverage(asked))) == pytest.approx(0, abs=1e-5)


def test_each_turn_learns_from_the_next_view_and_from_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so many steps; told of that view's camera alone."""
    prior = TinyPrior()
    guided = CameraGuided(prior, Sds(), CgLoraSettings(every=2))
    asked, learned = tiny_question(prior), []
    monkeypatch.setattr(guided, "learn", lambda some, telling: learned.append((some, telling)))
    whole = guided.telling_of(asked)
    for _ in range(2 * len(asked.encoded) + 1):
        guided.guide(asked)
    guided.close()
    assert [len(some.encoded) for some, _ in learned] == [1] * (len(asked.encoded) + 1)
    for turn, (some, telling) in enumerate(learned):
        view = turn % len(asked.encoded)
        assert torch.equal(some.encoded[0], asked.encoded[view])
        assert torch.equal(some.noise[0], asked.noise[view])
        assert torch.equal(telling.camera[0], whole.camera[view])
        assert torch.equal(telling.told[0], whole.told[view])

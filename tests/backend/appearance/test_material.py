"""The material field: where it starts, how far it can go, and that it learns."""

import pytest
import torch
from maquette_backend.appearance.color_space import srgb_from_linear
from maquette_backend.appearance.material import MaterialField, MaterialSettings, material_from_logits

POINTS = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 0.5


def test_it_starts_as_its_settings_say_everywhere() -> None:
    settings = MaterialSettings(albedo=0.4, roughness=0.3, metallic=0.2)
    material = MaterialField(settings)(POINTS)
    torch.testing.assert_close(srgb_from_linear(material.albedo), torch.full((200, 3), 0.4), atol=2e-3, rtol=0)
    torch.testing.assert_close(material.roughness, torch.full((200, 1), 0.3), atol=2e-3, rtol=0)
    torch.testing.assert_close(material.metallic, torch.full((200, 1), 0.2), atol=2e-3, rtol=0)
    torch.testing.assert_close(material.tangent_normal, torch.tensor([[0.0, 0, 1]]).expand(200, 3), atol=2e-3, rtol=0)


def test_no_number_leads_out_of_the_ranges() -> None:
    settings = MaterialSettings(albedo_range=(0.1, 0.8), roughness_range=(0.2, 0.7), metallic_range=(0.0, 0.5))
    for size in (-1e4, 1e4):
        material = material_from_logits(torch.full((1, 7), size), settings)
        limit = 0 if size < 0 else 1
        assert float(srgb_from_linear(material.albedo)[0, 0]) == pytest.approx((0.1, 0.8)[limit], abs=1e-5)
        assert float(material.roughness) == pytest.approx((0.2, 0.7)[limit])
        assert float(material.metallic) == pytest.approx((0.0, 0.5)[limit])
        leaned = material.tangent_normal[0]
        assert float(leaned.norm()) == pytest.approx(1)
        assert abs(float(leaned[0] / leaned[2])) == pytest.approx(settings.tilt, abs=1e-5)


def test_normals_can_be_left_alone() -> None:
    material = material_from_logits(torch.randn(10, 7), MaterialSettings(learns_normal=False))
    assert torch.equal(material.tangent_normal, torch.tensor([[0.0, 0, 1]]).expand(10, 3))


def test_the_start_follows_from_the_seed_alone() -> None:
    one, same, other = MaterialField(), MaterialField(), MaterialField(seed=1)
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name]), name
    assert not torch.equal(one.grid.table, other.grid.table)
    with torch.no_grad():
        one.grid.table.fill_(1)
        one.hidden.weight.zero_()
    one.forget_detail()
    assert torch.equal(one.grid.table, same.grid.table)
    assert torch.equal(one.hidden.weight, same.hidden.weight)


def test_it_learns_a_material_that_differs_from_place_to_place() -> None:
    torch.manual_seed(0)
    field = MaterialField()
    metal = (POINTS[:, :1] > 0).float()
    optimizer = torch.optim.Adam(field.parameters(), 2e-2)
    for _ in range(80):
        optimizer.zero_grad()
        material = field(POINTS)
        loss = (material.metallic - metal).square().mean() + (material.albedo - POINTS.abs()).square().mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.01
    field.forget_detail()
    assert float(field(POINTS).metallic.std().detach()) < 1e-3


@pytest.mark.parametrize(
    "wrong", [{"albedo": 0.99}, {"roughness": 0.0}, {"metallic_range": (0.5, 0.2)}, {"tilt": 9.0}]
)
def test_a_start_outside_its_range_is_refused(wrong: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match="not"):
        MaterialSettings(**wrong)

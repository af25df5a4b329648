"""From catalogue names, materials and boxes to nouns, kinds, materials, parts and proportions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from maquette_backend.priors.starter.training.describing import describe
from maquette_backend.priors.starter.training.furniture_package import FurnitureModel
from maquette_backend.priors.starter.training.kinds import KINDS, is_asymmetric, kind_of
from maquette_backend.priors.starter.training.material_words import Part, main_materials, material_word, parts_of
from maquette_backend.priors.starter.training.measuring import MaterialShare, Measures
from maquette_backend.priors.starter.training.names import clean_noun, head_of, synonyms, with_article
from maquette_backend.priors.starter.training.proportions import proportion_word

MEASURES = Measures((0.5, 1.0, 0.5), 0.8, 0.9, 0.2, (), (), 12, False, 0.2)


@pytest.mark.parametrize(
    ("name", "noun", "materials"),
    [
        ("Wooden desk", "desk", ("wooden",)),
        ("Teck chair", "chair", ("teak",)),
        ("Little bank", "bench", ()),
        ("Concept Sedan 02 Sport", "sports car", ()),
        ("Sofa 2 seats", "two-seat sofa", ()),
        ("TV 16:9", "television", ()),
        ("Frame Hôi An", "picture frame", ()),
        ("Captain's bed", "captain's bed", ()),
        ("Air conditioning - External unit", "air conditioner", ()),
        ("Glass door cabinet", "cabinet with glass doors", ()),
        ("Glass", "glass", ()),
        ("Rounded type A plug", "wall socket", ()),
        ("Parking slot 45°", "parking slot", ()),
        ("Fauteuil (old) 3", "armchair", ()),
        ("Black table", "table", ()),
    ],
)
def test_odd_names_become_plain_nouns(name: str, noun: str, materials: tuple[str, ...]) -> None:
    assert clean_noun(name) == (noun, materials)


def test_synonyms_replace_the_head_and_keep_the_rest() -> None:
    assert synonyms("corner sofa") == ["corner couch", "corner settee"]
    assert synonyms("couch") == ["sofa", "settee"]
    assert synonyms("cabinet with glass doors") == ["cupboard with glass doors"]
    assert synonyms("television") == ["tv"]
    assert synonyms("sofa bed") == []
    assert head_of("bookcase with books") == "bookcase"


@pytest.mark.parametrize(
    ("words", "noun", "phrase"),
    [
        ("oak chair", "chair", "an oak chair"),
        ("urinal", "urinal", "a urinal"),
        ("upright piano", "piano", "an upright piano"),
        ("black slippers", "slippers", "black slippers"),
        ("glass", "glass", "a glass"),
        ("chest of drawers", "chest of drawers", "a chest of drawers"),
    ],
)
def test_articles_are_english(words: str, noun: str, phrase: str) -> None:
    assert with_article(words, noun) == phrase


@pytest.mark.parametrize(
    ("noun", "kind"),
    [
        ("bar stool", "stool"),
        ("piano bench", "stool"),
        ("workbench", "table"),
        ("wheelchair", "other"),
        ("bedside table", "cabinet"),
        ("desk lamp", "lamp"),
        ("desk", "desk"),
        ("table fan", "appliance"),
        ("chest freezer", "appliance"),
        ("bed with drawers", "bed"),
        ("bookcase with books", "shelf"),
        ("peach tree in blossom", "plant"),
        ("double arched window", "door"),
        ("air mattress", "other"),
        ("teddy bear", "other"),
    ],
)
def test_kinds_go_by_the_head_of_the_noun(noun: str, kind: str) -> None:
    assert kind_of(noun, (), "Living room") == kind
    assert kind in (*KINDS, "other")


def test_toys_people_and_clothes_are_no_furniture_but_washing_machines_are_appliances() -> None:
    assert kind_of("chair", ("Toy",), "Bedroom") == "other"
    assert kind_of("washing machine", ("Appliance", "Clothes"), "Kitchen") == "appliance"


def test_asymmetry_is_a_matter_of_kind_and_measure() -> None:
    slightly = replace(MEASURES, half_turn=0.12, half_turn_color=0.0)
    painted = replace(MEASURES, half_turn=0.0, half_turn_color=0.05)
    alike = replace(MEASURES, half_turn=0.05, half_turn_color=0.02)
    assert [is_asymmetric("cabinet", m) for m in (MEASURES, slightly, painted, alike)] == [True, True, True, False]
    assert [is_asymmetric("table", m) for m in (MEASURES, slightly, painted)] == [True, False, False]
    assert not is_asymmetric("plant", MEASURES)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("lightOak.001", "oak"),
        ("madera_puerta2 tilewood.jpg", "wooden"),
        ("pear_wood pear_wood.jpg", "pear wood"),
        ("pear", ""),
        ("steak", ""),
        ("METAL_chrome", "chrome"),
        ("Appliance_Stainless", "steel"),
        ("cuir_black", "leather"),
        ("vidro_black", "glass"),
        ("Material.003", ""),
    ],
)
def test_materials_are_read_in_several_languages(name: str, word: str) -> None:
    assert material_word(name) == word


def share(name: str, share: float, rgb: tuple[int, int, int] = (10, 10, 10)) -> MaterialShare:
    return MaterialShare(name, share, rgb)


def test_the_most_visible_materials_are_named_and_wood_by_its_kind() -> None:
    shares = [share("oak_1", 0.3), share("chrome", 0.25), share("wood", 0.2), share("glass", 0.1)]
    assert main_materials("chair", shares, ()) == (("oak", 0.3), ("chrome", 0.25))
    assert main_materials("chair", shares, ("teak",))[0] == ("teak", 1.0)
    assert main_materials("table", [share("tela_roja", 1.0)], ()) == ()


def test_parts_have_a_colour_if_a_material_is_theirs() -> None:
    shares = [share("Cushion1", 0.2, (190, 30, 30)), share("patas_metal", 0.03)]
    assert parts_of("chair", shares, ("Cube.001", "chairWheels")) == (
        Part("cushion", (190, 30, 30)),
        Part("legs", None),
        Part("wheels", None),
    )
    assert parts_of("plant", shares, ("pot_Circle",)) == (Part("pot", None),)


@pytest.mark.parametrize(
    ("kind", "extent", "word"),
    [
        ("cabinet", (0.4, 1.0, 0.3), "narrow"),
        ("cabinet", (0.45, 1.0, 0.3), "tall"),
        ("cabinet", (1.0, 0.4, 0.4), "wide"),
        ("table", (1.0, 0.3, 0.6), "low"),
        ("table", (1.0, 0.5, 0.35), "long"),
        ("lamp", (0.2, 1.0, 0.2), "tall"),
        ("chair", (0.5, 1.0, 0.5), ""),
        ("other", (0.1, 1.0, 0.1), ""),
    ],
)
def test_proportions_are_named_where_they_are_plain(kind: str, extent: tuple[float, float, float], word: str) -> None:
    assert proportion_word(kind, extent) == word


def test_a_model_is_described_from_its_catalogue_and_its_measures_alone() -> None:
    model = FurnitureModel("Scopia", "s/wardrobe1/w.obj", "Wardrobe", "Bedroom", ("Closet",), "S", "CC0-1.0", "S", None)
    measures = replace(MEASURES, materials=(share("fusta", 0.9, (120, 75, 45)),), extent=(0.6, 1.0, 0.3))
    palette = np.full((8, 3), (120, 75, 45), np.uint8)
    record = describe(model, measures, palette)
    assert (record.noun, record.kind, record.asymmetric, record.materials) == ("wardrobe", "cabinet", True, ("wooden",))
    assert record.captions[0][0] == "a brown wooden wardrobe"
    assert "a brown closet" in record.captions[0]
    assert len(record.captions) == 6
    assert record == describe(model, measures, palette)
    assert not record.held_out
    assert describe(replace(model, path="scopia/wardrobe1/wardrobe1.obj"), measures, palette).held_out

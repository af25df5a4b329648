"""Reading furniture as it is found in the wild: OBJ, MTL, catalogues, archives."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from maquette_backend.priors.starter.training.furniture_mesh import load_furniture
from maquette_backend.priors.starter.training.furniture_package import FurnitureModel, parse_catalog
from maquette_backend.priors.starter.training.wavefront import Material, parse_mtl, parse_obj
from PIL import Image

MODEL = FurnitureModel("Scopia", "a/b.obj", "Chair", "Office", (), "Scopia", "CC-BY-3.0", "Scopia", None)


def archive(**files: bytes) -> zipfile.ZipFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, data in files.items():
            opened.writestr(f"a/{name.replace('_', '.')}", data)
    return zipfile.ZipFile(buffer)


def test_groups_and_objects_name_the_parts() -> None:
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\no legs\nf 1 2 3\ng seat cushion\nf 1 2 3\no legs\nf 1 2 3\n"
    assert parse_obj(text).parts == ("legs", "seat cushion")


def test_polygons_become_fans_and_all_index_styles_agree() -> None:
    vertices = "v 0 0 0 0.5 0.5 0.5\nv\t1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0 0\nvt 1 1\nvn 0 0 1\n"
    absolute = parse_obj(vertices + "usemtl red wood\nf 1/1/1 2/2/1 3/1/1 4/2/1\nusemtl b\nf 1 2 3\nf 1//1 2//1 3//1\n")
    relative = parse_obj(vertices + "f -4/-2/-1 -3/-1/-1 -2/-2/-1 -1/-1/-1\n")
    assert absolute.positions.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert absolute.corners[:2, :, 0].tolist() == [[0, 1, 2], [0, 2, 3]]
    assert np.array_equal(absolute.corners[:2], relative.corners)
    assert (absolute.corners[2, :, 1:] == -1).all()
    assert absolute.corners[3, :, 2].tolist() == [0, 0, 0]
    assert [absolute.material_names[i] for i in absolute.face_material] == ["red wood", "red wood", "b", "b"]


@pytest.mark.parametrize("text", ["", "v 0 0 0\nf 1 1\n", "v 0 0\nf 1 1 1\n", "v a b c\nf 1 1 1\n", "f x y z\n"])
def test_unusable_obj_files_raise_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_obj(text)


def test_materials_with_options_blanks_and_unknown_statements() -> None:
    text = "Kd 9 9 9\nnewmtl  dark  oak\nKd .5 .25 0\n\tmap_Kd -s 2 2 2 oak.png\nNs 10\nnewmtl glass\nd 0.2\nmap_Kd my tex.png"
    assert parse_mtl(text) == {
        "dark oak": Material((0.5, 0.25, 0.0), 1.0, "oak.png"),
        "glass": Material(opacity=0.2, texture="my tex.png"),
    }


OBJ = (
    b"mtllib M.MTL\nv 0 0 0\nv 2 0 0\nv 2 4 0\nv 0 4 0\nusemtl pine\nf 1 2 3\nf 1 3 4\nusemtl glass\nf 1 2 4\nf 2 3 9\n"
)
MTL = b"newmtl pine\nmap_Kd t.png\nnewmtl glass\nd .1\n"


def test_a_model_is_centred_scaled_and_loses_glass_and_broken_faces() -> None:
    png = io.BytesIO()
    leaf = np.full((300, 200, 4), (10, 20, 30, 255), np.uint8)
    leaf[:30, :, 3] = 0
    Image.fromarray(leaf).save(png, "png")
    mesh = load_furniture(archive(b_obj=OBJ, m_mtl=MTL, T_PNG=png.getvalue()), MODEL)
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert np.ptp(mesh.positions, axis=0).max() == pytest.approx(1)
    assert np.allclose(mesh.positions.min(0) + mesh.positions.max(0), 0)
    assert mesh.materials == ("glass", "pine t.png")
    assert mesh.see_through
    assert (mesh.corner_normals == -1).all()
    first, width, height, has_holes = mesh.textures[mesh.face_texture[0]]
    assert max(width, height) == 128
    assert has_holes
    assert mesh.texels[first, 3] == 0
    assert mesh.texels[first + width * height - 1].tolist() == [10, 20, 30, 255]


def test_a_thing_of_glass_is_kept_and_rotations_are_applied() -> None:
    glass = archive(b_obj=OBJ.replace(b"pine", b"glass"), m_mtl=MTL)
    mesh = load_furniture(glass, replace(MODEL, rotation=(0, 1, 0, -1, 0, 0, 0, 0, 1)))
    assert len(mesh.triangles) == 3
    assert np.ptp(mesh.positions, axis=0) == pytest.approx([1, 0.5, 0])


def test_a_table_keeps_its_glass() -> None:
    """Its vertex 5, which only the broken face names, is still left out."""
    mesh = load_furniture(archive(b_obj=OBJ, m_mtl=MTL), replace(MODEL, name="Coffee Table"))
    assert len(mesh.triangles) == 3
    assert len(mesh.positions) == 4


def test_vertices_that_no_triangle_uses_do_not_shift_the_model() -> None:
    stray = load_furniture(archive(b_obj=OBJ.replace(b"f 2 3 9\n", b"v 99 99 99\n"), m_mtl=MTL), MODEL)
    assert np.abs(stray.positions).max() == pytest.approx(0.5)


def test_broken_pictures_leave_the_plain_colour() -> None:
    mesh = load_furniture(archive(b_obj=OBJ, m_mtl=MTL, t_png=b"no picture"), MODEL)
    assert mesh.texels[mesh.textures[mesh.face_texture[0]][0]].tolist() == [204, 204, 204, 255]


def test_a_flat_point_and_nan_are_refused() -> None:
    for bad in (b"v 1 1 1\nf 1 1 1\n", b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"):
        with pytest.raises(ValueError, match="finite"):
            load_furniture(archive(b_obj=bad), MODEL)


def test_a_catalogue_gives_names_licences_and_rotations_in_order() -> None:
    text = (
        "id=x\nname#10=Oak (big) chair\nmodel#10=/k/oak.obj\ncategory#10=Office\ncreator#10=Kator Legaz\n"
        "modelRotation#10=1 0 0 0 0 -1 0 1 0\ntags#10=Seat, Old \nname#2=Lamp 5\\u20ac\ntags#2=\nmodel#2=/k/lamp.obj\ncategory#2=Lights\n"
    )
    lamp, chair = parse_catalog(text, "KatorLegaz")
    assert (lamp.name, lamp.path, lamp.rotation, lamp.creator) == ("Lamp 5€", "k/lamp.obj", None, "")
    assert (chair.tags, lamp.tags) == (("Seat", "Old"), ())
    assert (chair.licence, chair.creator, chair.rotation) == (
        "CC-BY-3.0-US",
        "Kator Legaz",
        (1, 0, 0, 0, 0, -1, 0, 1, 0),
    )

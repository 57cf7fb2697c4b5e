"""Points in a plane as pictures: dark where many lie, the second coordinate upwards."""

import base64
import io

import numpy as np
import torch
from PIL import Image

from limbeck.run.densities import CELLS, ENLARGED, densities, density, extent_of
from limbeck.run.exhibits import Sheet, add_galleries, read_exhibits, write_exhibits


def test_many_points_are_dark_and_up_is_up():
    points = torch.tensor([[0.9, 0.9]] * 4 + [[-0.9, -0.9]])
    image = density(points, (-1, 1, -1, 1), cells=10)[:, :, 0]
    assert image.shape == (10 * ENLARGED,) * 2
    assert image[0, -1] == 0
    assert image[-1, 0] == 128
    assert image[0, 0] == image[-1, -1] == 255


def test_what_lies_outside_is_left_out():
    image = density(torch.tensor([[5.0, 5.0], [0.0, 0.0]]), (-1, 1, -1, 1))
    assert (image == 0).sum() == ENLARGED**2
    assert (density(torch.full((3, 2), 9.0), (-1, 1, -1, 1)) == 255).all()


def test_the_square_holds_all_points_with_a_margin():
    left, right, bottom, top = extent_of(torch.tensor([[0.0, 0.0], [4.0, 2.0]]))
    assert (left, right, bottom, top) == (-0.5, 4.5, -1.5, 3.5)


def test_sets_stand_in_columns_and_groups_in_rows():
    sets = {"few": torch.zeros(4, 2), "real": torch.ones(4, 2)}
    groups = {"all": torch.ones(4, dtype=torch.bool), "even": torch.tensor([1, 0, 0, 0]).bool()}
    made = densities("Points", sets, groups, (-2, 2, -2, 2), caption="They lie so.")
    assert (made.columns, made.rows) == (["few", "real"], ["all", "even"])
    picture = Image.open(io.BytesIO(base64.b64decode(made.pictures[0][1])))
    assert np.asarray(picture).shape == (CELLS * ENLARGED,) * 2


def test_galleries_join_what_is_there_and_take_the_place_of_their_like(tmp_path):
    whole = {"all": torch.ones(1, dtype=torch.bool)}

    def gallery(title, caption):
        points = {"few": torch.zeros(1, 2)}
        return densities(title, points, whole, (-1, 1, -1, 1), caption=caption)

    write_exhibits(tmp_path, sheets=[Sheet("A sheet", ["a"], [["b"]])])
    add_galleries(tmp_path, [gallery("one", "first"), gallery("two", "first")])
    add_galleries(tmp_path, [gallery("two", "second")])
    _, sheets, galleries = read_exhibits(tmp_path)
    assert [one.title for one in sheets] == ["A sheet"]
    assert [(one.title, one.caption) for one in galleries] == [("one", "first"), ("two", "second")]
    add_galleries(tmp_path, [gallery("three", "first")], first=True)
    assert [one.title for one in read_exhibits(tmp_path)[2]] == ["three", "one", "two"]

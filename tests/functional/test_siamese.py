"""Siamese operations are what a slow reference says, image by image, and are differentiable."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from limbeck.errors import ArgumentError
from limbeck.functional import siamese
from limbeck.functional.siamese import OPERATIONS, siamese_augment


@pytest.fixture
def images():
    return torch.randn(6, 3, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def draws():
    return torch.rand(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def read(image, row, column):
    """Bilinear reading of a (C, H, W) image at one place, zeros outside, written out."""
    height, width = image.shape[1:]
    total = torch.zeros(image.shape[0], dtype=image.dtype)
    for r in (math.floor(row), math.floor(row) + 1):
        for c in (math.floor(column), math.floor(column) + 1):
            if 0 <= r < height and 0 <= c < width:
                total += (1 - abs(row - r)) * (1 - abs(column - c)) * image[:, r, c]
    return total


def on_grid(image, matrix):
    """Read an image where a matrix sends the grid from -1 to 1, pixel by pixel."""
    height, width = image.shape[1:]
    seen = torch.empty_like(image)
    for r in range(height):
        for c in range(width):
            across, down = 2 * c / (width - 1) - 1, 2 * r / (height - 1) - 1
            (a, b), (d, e) = matrix
            at_column, at_row = a * across + b * down, d * across + e * down
            seen[:, r, c] = read(
                image, (at_row + 1) / 2 * (height - 1), (at_column + 1) / 2 * (width - 1)
            )
    return seen


def slow(image, operation, u):
    """One operation on one image (C, H, W), from the published description."""
    u = u.tolist()
    height, width = image.shape[1:]
    if operation == "color":
        image = image + (u[0] - 0.5)
        grey = image.mean(0)
        image = (image - grey) * 2 * u[1] + grey
        return (image - image.mean()) * (u[2] + 0.5) + image.mean()
    if operation == "flip":
        return image.flip(2) if u[0] < 0.5 else image
    if operation == "scale":
        across, down = (value * (1.2 - 1 / 1.2) + 1 / 1.2 for value in u[:2])
        return on_grid(image, ((across, 0), (0, down)))
    if operation == "rotate":
        angle = (u[0] - 0.5) * 2 * 15 * math.pi / 180
        return on_grid(
            image, ((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle)))
        )
    seen = torch.zeros_like(image) if operation == "crop" else image.clone()
    sides = (height, width)
    if operation == "crop":
        reach = [int(side * 0.125 + 0.5) for side in sides]
        down, right = (int(value * (2 * p + 1)) - p for value, p in zip(u, reach, strict=False))
        for r in range(height):
            for c in range(width):
                if 0 <= r + down < height and 0 <= c + right < width:
                    seen[:, r, c] = image[:, r + down, c + right]
        return seen
    cut = [int(side * 0.5 + 0.5) for side in sides]
    centres = [
        int(value * (side + 1 - k % 2)) for value, side, k in zip(u, sides, cut, strict=False)
    ]
    for r in range(centres[0] - cut[0] // 2, centres[0] - cut[0] // 2 + cut[0]):
        for c in range(centres[1] - cut[1] // 2, centres[1] - cut[1] // 2 + cut[1]):
            seen[:, min(max(r, 0), height - 1), min(max(c, 0), width - 1)] = 0
    return seen


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_image_is_changed_as_the_slow_reference_changes_it(operation, images, draws):
    seen = siamese_augment(images, operation, draws)
    for new, image, u in zip(seen, images, draws, strict=True):
        torch.testing.assert_close(new, slow(image, operation, u))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_row_of_draws_is_that_row_for_every_image(operation, images, draws):
    seen = siamese_augment(images, operation, draws[2:3])
    torch.testing.assert_close(seen, siamese_augment(images, operation, draws[2:3].expand(6, 3)))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("rows", [1, 2])
def test_gradients_reach_the_image(operation, rows, images, draws):
    x = images[:2].clone().requires_grad_()
    assert gradcheck(lambda x: siamese_augment(x, operation, draws[:rows]), x)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_several_batches_are_mapped_at_once(operation, images, draws):
    x, u = torch.stack([images, images.flip(0)]), torch.stack([draws, draws + (0.5 - draws) / 3])
    mapped = torch.func.vmap(lambda x, u: siamese_augment(x, operation, u))(x, u)
    for number in range(2):
        single = siamese_augment(x[number], operation, u[number])
        torch.testing.assert_close(mapped[number], single)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("edge", [0.0, 1 - 2**-53])
def test_draws_at_the_edges_stay_inside(operation, edge):
    draws = torch.full((2, 3), edge, dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(2, 1, 9, 9, dtype=dtype)
        seen = siamese_augment(x, operation, draws.to(dtype))
        assert torch.isfinite(seen).all()
        assert seen.dtype == dtype
        assert seen.abs().sum() > 0


def test_crops_reach_every_shift_and_no_other():
    x = torch.ones(500, 1, 16, 16)
    u = torch.rand(500, 3, generator=torch.Generator().manual_seed(3))
    seen = siamese_augment(x, "crop", u)
    rows = seen[:, 0].amax(2).sum(1)
    assert set(rows.tolist()) == {14.0, 15.0, 16.0}


def test_grey_images_keep_their_saturation(images):
    grey = images[:, :1]
    torch.testing.assert_close(siamese.saturation(grey, torch.rand(6)), grey)


def test_single_pixels_go_through():
    x = torch.ones(1, 1, 1, 1)
    for operation in OPERATIONS:
        assert siamese_augment(x, operation, torch.full((1, 3), 0.5)).shape == x.shape


def test_wrong_arguments_are_refused(images):
    with pytest.raises(ArgumentError, match="operation is 'colour', expected one of 'color'"):
        siamese_augment(images, "colour", torch.rand(6, 3))
    with pytest.raises(ArgumentError, match=r"draws has shape \(5, 3\), expected \(6, 3\)"):
        siamese_augment(images, "flip", torch.rand(5, 3))
    with pytest.raises(ArgumentError, match=r"x has shape \(3, 5, 8\), expected images"):
        siamese_augment(images[0], "flip", torch.rand(3, 3))
    with pytest.raises(ArgumentError, match=r"degrees has shape \(2,\) and there are 6 images"):
        siamese.rotate(images, torch.zeros(2))

"""Boxes are drawn as torchvision draws them; all crops at once are what each is alone."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from limbeck import keyed
from limbeck.data.cropping import DRAWS, RATIO, TRIES, crop_boxes, resized_crops
from limbeck.errors import ArgumentError

SIZES = [(32, 32), (20, 31), (31, 20), (1, 1), (1, 40), (3, 2)]


def draws(count, seed=0):
    return keyed.uniform(keyed.key(seed), np.arange(count), DRAWS)


def images(count, size, channels=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, *size, generator=generator, dtype=dtype)


def boxes_in(count, size, seed=0):
    """Any boxes inside an image, the whole image and single pixels at its corners among them."""
    generator = np.random.default_rng(seed)
    sides = np.stack([generator.integers(1, length + 1, count) for length in size], 1)
    corners = np.floor(generator.random((count, 2)) * (np.array(size) - sides + 1))
    boxes = np.concatenate([corners.astype(np.int64), sides], 1)
    height, width = size
    boxes[:4] = [
        [0, 0, height, width],
        [0, 0, 1, 1],
        [height - 1, width - 1, 1, 1],
        [0, 0, 1, width],
    ]
    return boxes


def one_by_one(x, boxes, size, antialias):
    return torch.cat(
        [
            F.interpolate(
                x[row : row + 1, :, top : top + height, left : left + width],
                size=size,
                mode="bilinear",
                align_corners=False,
                antialias=antialias,
            )
            for row, (top, left, height, width) in enumerate(boxes.tolist())
        ]
    )


def told(numbers, size, scale, ratio):
    """What the procedure gives for the numbers of one sample, told step by step."""
    (height, width), area = size, size[0] * size[1]
    low, high = np.log(ratio)
    for number in range(TRIES):
        share = scale[0] + (scale[1] - scale[0]) * numbers[number]
        aspect = np.exp(low + (high - low) * numbers[TRIES + number])
        wide = round(float(np.sqrt(area * share * aspect)))
        tall = round(float(np.sqrt(area * share / aspect)))
        if 0 < wide <= width and 0 < tall <= height:
            top = int(numbers[-2] * (height - tall + 1))
            return [top, int(numbers[-1] * (width - wide + 1)), tall, wide]
    tall, wide = height, width
    if width / height < ratio[0]:
        tall = round(width / ratio[0])
    elif width / height > ratio[1]:
        wide = round(height * ratio[1])
    return [(height - tall) // 2, (width - wide) // 2, tall, wide]


@pytest.mark.parametrize("size", [(32, 32), (20, 60), (60, 20), (9, 5)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.9, 1.0), (1.0, 1.0), (0.001, 0.002)])
def test_boxes_follow_the_procedure(size, scale):
    numbers = draws(300)
    expected = [told(row, size, scale, RATIO) for row in numbers]
    assert crop_boxes(numbers, size, scale=scale).tolist() == expected


@pytest.mark.parametrize("size", [(32, 32), (40, 64)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.5, 1.0)])
def test_boxes_are_spread_as_those_of_torchvision(size, scale):
    transforms = pytest.importorskip("torchvision.transforms", reason="needs the vision extra")
    picture = torch.zeros(1, *size)
    with keyed.torch_seeded(0):
        theirs = np.array(
            [
                transforms.RandomResizedCrop.get_params(picture, list(scale), list(RATIO))
                for _ in range(4000)
            ]
        )
    ours = crop_boxes(draws(4000), size, scale=scale)
    for measure in (
        lambda box: box[:, 2] * box[:, 3] / (size[0] * size[1]),
        lambda box: box[:, 3] / box[:, 2],
        lambda box: 1 + box[:, 0],
        lambda box: 1 + box[:, 1],
    ):
        assert measure(ours).mean() == pytest.approx(measure(theirs).mean(), rel=0.04)
        assert measure(ours).std() == pytest.approx(measure(theirs).std(), rel=0.06)


@pytest.mark.parametrize("side", [1, 2, 7, 32, 224])
@pytest.mark.parametrize("ratio", [RATIO, (1.0, 1.0), (0.99, 1.01)])
def test_the_whole_area_of_a_square_is_the_whole_image(side, ratio):
    boxes = crop_boxes(draws(2000), (side, side), scale=(1.0, 1.0), ratio=ratio)
    assert (boxes == [0, 0, side, side]).all()


@pytest.mark.parametrize(
    ("size", "box"), [((10, 40), [0, 13, 10, 13]), ((40, 10), [13, 0, 13, 10]), ((9, 10), None)]
)
def test_where_nothing_fits_the_box_is_the_largest_in_the_middle(size, box):
    # The largest area with the aspect ratio at its ends is wider or higher than any of these.
    numbers = np.zeros((1, DRAWS))
    boxes = crop_boxes(numbers, size, scale=(1.0, 1.0))
    assert boxes.tolist() == [box or [0, 0, *size]]


def test_a_line_of_pixels_has_a_box():
    assert (
        crop_boxes(draws(3), (8, 1), scale=(1.0, 1.0), ratio=(4.0, 5.0)).tolist()
        == [[3, 0, 1, 1]] * 3
    )


@pytest.mark.parametrize("size", SIZES)
def test_boxes_lie_inside(size):
    boxes = crop_boxes(
        np.vstack([draws(500), np.full((1, DRAWS), 1 - 2**-53)]), size, scale=(0.01, 1.0)
    )
    assert boxes.dtype == np.int64
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= size).all()


def test_a_box_depends_on_the_numbers_of_its_sample_alone():
    numbers = draws(20)
    whole = crop_boxes(numbers, (32, 32), scale=(0.2, 1.0))
    assert (crop_boxes(numbers[7:9], (32, 32), scale=(0.2, 1.0)) == whole[7:9]).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("output", [None, (32, 32), (7, 3), (1, 1), (45, 2)])
@pytest.mark.parametrize("antialias", [True, False])
def test_all_crops_are_what_each_is_alone(size, output, antialias):
    x, boxes = images(40, size), boxes_in(40, size)
    found = resized_crops(x, boxes, output, antialias=antialias)
    expected = one_by_one(x, boxes, output or size, antialias)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    again = resized_crops(x.float(), boxes, output, antialias=antialias)
    assert again.dtype == torch.float32
    torch.testing.assert_close(again, expected.float(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("output", [(224, 224), (112, 75)])
def test_large_images_lose_no_digits(output):
    x, boxes = images(6, (224, 224), channels=1), boxes_in(6, (224, 224))
    found = resized_crops(x.float(), boxes, output)
    torch.testing.assert_close(
        found.double(), one_by_one(x, boxes, output, True), rtol=0, atol=2e-6
    )


def test_crops_of_torchvision_are_the_same():
    functional = pytest.importorskip("torchvision.transforms.v2.functional", reason="needs vision")
    x, boxes = images(30, (32, 24), dtype=torch.float32), boxes_in(30, (32, 24))
    for output in [(32, 24), (11, 9)]:
        expected = [
            functional.resized_crop(one, *box, list(output), antialias=True)
            for one, box in zip(x, boxes.tolist(), strict=True)
        ]
        torch.testing.assert_close(
            resized_crops(x, boxes, output), torch.stack(expected), rtol=0, atol=1e-5
        )


def test_antialiasing_changes_only_what_is_shrunk():
    x, boxes = images(20, (16, 16)), boxes_in(20, (16, 16))
    shrunk = (boxes[:, 2:] > 8).any(1)
    with_it, without = (resized_crops(x, boxes, (8, 8), antialias=one) for one in (True, False))
    same = torch.isclose(with_it, without, rtol=0, atol=1e-12).flatten(1).all(1).numpy()
    assert (same == ~shrunk).all()
    assert shrunk.any()


def test_flips_mirror_the_outputs():
    x, boxes = images(12, (9, 14)), boxes_in(12, (9, 14))
    flip = np.arange(12) % 3 == 0
    plain, flipped = (resized_crops(x, boxes, (5, 8), flip=one) for one in (None, flip))
    expected = torch.where(torch.from_numpy(flip)[:, None, None, None], plain.flip(3), plain)
    torch.testing.assert_close(flipped, expected, rtol=0, atol=1e-12)


def test_the_whole_image_stays_as_it_is():
    x = images(3, (9, 6))
    torch.testing.assert_close(resized_crops(x, np.array([[0, 0, 9, 6]] * 3)), x)


@pytest.mark.parametrize("antialias", [True, False])
def test_gradients_reach_the_images(antialias):
    x = images(4, (6, 5), channels=1).requires_grad_()
    boxes, flip = boxes_in(4, (6, 5), seed=3), np.array([True, False, True, False])
    assert torch.autograd.gradcheck(
        lambda given: resized_crops(given, boxes, (3, 4), antialias=antialias, flip=flip), (x,)
    )
    # Nothing outside the second image's box, its first pixel, is looked at.
    resized_crops(x, boxes, (3, 4)).sum().backward()
    assert x.grad[1].count_nonzero() == 1


def test_half_precision_stays():
    x = images(5, (8, 8), dtype=torch.float32)
    boxes = boxes_in(5, (8, 8))
    found = resized_crops(x.bfloat16(), boxes)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), resized_crops(x, boxes), rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"draws": np.zeros((3, 4))}, r"draws has shape \(3, 4\), expected \(N, 22\)"),
        ({"draws": np.ones((3, DRAWS))}, "values from 1 to 1, expected from 0 to below 1"),
        ({"scale": (0.5, 0.2)}, r"scale is \(0.5, 0.2\), expected 0 < low <= high <= 1"),
        ({"scale": (0.0, 1.0)}, "scale is"),
        ({"scale": (0.5, 1.5)}, "scale is"),
        ({"ratio": (2.0, 1.0)}, r"ratio is \(2.0, 1.0\), expected 0 < low <= high$"),
        ({"ratio": (1.0, float("inf"))}, "ratio is"),
        ({"size": (0, 8)}, r"size is \(0, 8\), expected \(height, width\)"),
    ],
)
def test_numbers_that_make_no_boxes_are_refused(changed, message):
    given = {"draws": draws(3), "size": (8, 8), "scale": (0.2, 1.0), **changed}
    with pytest.raises(ArgumentError, match=message):
        crop_boxes(given.pop("draws"), given.pop("size"), **given)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": torch.zeros(2, 8, 8)}, r"x has shape \(2, 8, 8\), expected \(N, C, H, W\)"),
        ({"x": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)}, "expected floating-point"),
        ({"boxes": np.ones((3, 4), dtype=np.int64)}, r"shape \(3, 4\) .* expected \(2, 4\)"),
        ({"boxes": np.ones((2, 4))}, "dtype float64, expected .* whole numbers"),
        ({"boxes": np.array([[0, 0, 8, 8], [1, 0, 8, 8]])}, r"box 1 is \[1, 0, 8, 8\] .* 8 x 8"),
        ({"boxes": np.array([[0, 0, 0, 8], [0, 0, 8, 8]])}, "box 0 is .* at least one pixel"),
        ({"boxes": np.array([[0, -1, 2, 8], [0, 0, 8, 8]])}, "box 0 is"),
        ({"size": (4, 0)}, r"size is \(4, 0\)"),
        ({"flip": np.array([True])}, r"flip has shape \(1,\) .* expected \(2,\) of bool"),
        ({"flip": np.array([1, 0])}, "dtype int64, expected"),
    ],
)
def test_what_cannot_be_cut_is_refused(changed, message):
    given = {"x": torch.zeros(2, 1, 8, 8), "boxes": np.array([[0, 0, 8, 8]] * 2), **changed}
    with pytest.raises(ArgumentError, match=message):
        resized_crops(**given)

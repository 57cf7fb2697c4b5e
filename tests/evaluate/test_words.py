"""Words about rows: columns and sentences follow from what the rows hold."""

import pytest

from limbeck.evaluate.words import interval, table_cells, verdict

MODEL = {"parameters": 1066, "macs": 1032, "latency_ms": 0.031, "bytes": 4264, "train_seconds": 3.0}


def row(name, role, accuracy, cost, **more):
    return {"name": name, "role": role, "quality": {"accuracy": accuracy}, "cost": cost, **more}


def few(images, network=24_714):
    return {
        "images": images, "bytes": images * 12_296, "train_seconds": 2.345,
        "parameters": network, "macs": 3 * network,
    }  # fmt: skip


STUDENTS = [
    row("kd", "product", 0.936, MODEL, std={"accuracy": 0.0049}),
    row("student alone", "baseline", 0.898, MODEL),
    row("mlp?hidden=64", "teacher", 0.97, MODEL),
]
SETS = [
    row("datm", "product", 0.468, few(100), std={"accuracy": 0.002}),
    row("random images", "baseline", 0.31, few(100)),
    row("all images", "reference", 0.848, few(50_000)),
]


def sampler(name, role, distance, evaluations, **more):
    quality = {"frechet": distance, "recall": 0.5, "density": 0.9}
    cost = {"evaluations": evaluations, "sample_seconds": 1.234, "bytes": 40, **NETWORK}
    return {"name": name, "role": role, "quality": quality, "cost": cost, **more}


NETWORK = {"parameters": 1066, "macs": 1032}
SAMPLERS = [
    sampler("dmd", "product", 1.04, 4.0, std={"frechet": 0.05}),
    sampler("teacher in 4 steps", "baseline", 1.63, 8.0),
    sampler("teacher in 50 steps", "teacher", 0.8, 100.0),
    {"name": "real samples", "role": "reference", "quality": {"frechet": 0.72}, "cost": {}},
]


def test_generators_have_the_cost_of_a_sample():
    heads, lines = table_cells(SAMPLERS)
    named = ["", "FD", "recall", "density"]
    assert heads == [*named, "evaluations", "s per 1,000", "parameters", "MACs"]
    assert lines[0] == ["dmd", "1.040 ±0.050", "50.0", "0.900", "4", "1.23", "1,066", "1,032"]
    assert lines[2][0] == "teacher in 50 steps"
    assert lines[3] == ["real samples", "0.720", *[""] * 6]


def test_students_have_the_cost_of_an_answer():
    heads, lines = table_cells(STUDENTS)
    assert heads == ["", "accuracy", "parameters", "MACs", "ms"]
    assert lines == [
        ["kd", "93.6 ±0.5", "1,066", "1,032", "0.03"],
        ["student alone", "89.8", "1,066", "1,032", "0.03"],
        ["teacher mlp?hidden=64", "97.0", "1,066", "1,032", "0.03"],
    ]


def test_what_users_need_beside_a_set_is_shown():
    white = {**few(100), "transform_bytes": 33_792}
    heads, lines = table_cells([row("datm", "product", 0.468, white), SETS[1]])
    place = heads.index("KB")
    assert heads[place + 1] == "transform KB"
    assert [line[place : place + 2] for line in lines] == [["1,229.6", "33.8"], ["1,229.6", ""]]


def test_sets_have_the_cost_of_training_on_them():
    heads, lines = table_cells(SETS)
    assert heads == ["", "accuracy", "images", "KB", "train s"]
    assert lines[0] == ["datm", "46.8 ±0.2", "100", "1,229.6", "2.3"]
    assert lines[2] == ["all images", "84.8", "50,000", "614,800.0", "2.3"]


def test_networks_of_other_sizes_are_told_apart():
    other = row("datm on vgg11", "reference", 0.4, few(100, 9_231_114))
    heads, lines = table_cells([*SETS, other])
    assert heads[-2:] == ["parameters", "MACs"]
    assert lines[-1][-2:] == ["9,231,114", "27,693,342"]


def test_what_a_row_lacks_is_a_gap():
    bare = row("whole set", "reference", 0.9, {"images": 5})
    assert table_cells([*SETS, bare])[1][-1] == ["whole set", "90.0", "5", "", ""]


def test_a_spread_over_networks_stands_beside_the_mean_until_there_are_seeds():
    own = {"accuracy": 0.468, "accuracy_std": 0.01}
    one = {**SETS[1], "quality": own}
    heads, ((_, told, *_),) = table_cells([one])
    assert (heads[1], told) == ("accuracy", "46.8 ±1.0")
    seeded = {**one, "std": {"accuracy": 0.02, "accuracy_std": 0.0}}
    assert table_cells([seeded])[1][0][1] == "46.8 ±2.0"


@pytest.mark.parametrize(
    ("rows", "seeds", "said"),
    [
        (STUDENTS, 1, "distilled is 3.8 points ahead of the same student alone"),
        (
            SETS, 5,
            "distilled is 15.8 points ahead of random images of the same number in the mean of 5 "
            "seeds",
        ),
        (
            [SETS[0], row("random", "baseline", 0.468, few(100))], 1,
            "distilled is level with random images of the same number",
        ),
        (
            [SETS[0], row("all images", "baseline", 0.848, few(50_000))], 1,
            "distilled is 38.0 points behind all images (50,000)",
        ),
        (
            SAMPLERS, 1,
            "distilled has a Fréchet distance of 1.040 in 4 evaluations, its teacher 1.630 in 8 "
            "and 0.800 in 100",
        ),
        (
            [sampler("dmd", "product", 1.04, 1.0), sampler("teacher", "baseline", 5.0, 1.0)], 3,
            "distilled has a Fréchet distance of 1.040 in 1 evaluation, its teacher 5.000 in as "
            "many in the mean of 3 seeds",
        ),
    ],
)  # fmt: skip
def test_the_verdict_names_whom_it_compares_with(rows, seeds, said):
    assert verdict(rows, seeds) == said


def test_numbers_are_compared_by_rmse():
    rows = [
        {"role": role, "name": name, "quality": {"rmse": value}, "cost": MODEL}
        for role, name, value in (("product", "kd", 2.0), ("baseline", "student alone", 2.5))
    ]
    assert verdict(rows, 1) == "distilled has an rmse 0.5 lower than the same student alone"


def test_where_no_student_is_made_the_rows_are_called_by_name():
    rows = [row("cascade", "product", 0.9, MODEL), row("first model", "baseline", 0.8, MODEL)]
    assert verdict(rows, 1) == "cascade is 10.0 points ahead of the first model"


def test_an_interval_of_a_share_ends_where_shares_end():
    wide = {"low": -0.105, "high": 1.133}
    assert interval("accuracy", wide) == "0.0 to 100.0"
    assert interval("accuracy", {"low": -1.2, "high": 0.3}, sign="+") == "-100.0 to +30.0"
    assert interval("rmse", wide) == "-0.105 to 1.133"
    assert interval("accuracy", {"low": None, "high": None}) == ""

"""Own data and own models through the command line: pictures, tables, texts."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

SHORT = ("--steps", "4", "--teacher-steps", "4", "--batch-size", "8", "--quiet", "--json")
# Teachers taught for a moment are weak, which is no matter here.
pytestmark = pytest.mark.filterwarnings("ignore::limbeck.errors.UnusualUseWarning")


@pytest.fixture
def run(limbeck):
    """Distil for a moment, into the folder ``run``; what was said to programs."""

    def distil(data, teacher, student, *more):
        done = limbeck(
            "run", "kd", "--data", data, "--teacher", teacher, "--student", student,
            *SHORT, *more, "--out", "run",
        )  # fmt: skip
        assert done.status == 0, done.err
        return json.loads(done.out.splitlines()[-1])

    return distil


def test_a_folder_of_pictures_with_networks_of_timm(limbeck, run, tmp_path):
    pytest.importorskip("timm")
    generator = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for place in range(12):
            pixels = generator.integers(0, 128, (40, 36, 3)) + 100 * label
            file = tmp_path / "pictures" / name / f"{place}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    facts = run(
        "folder:pictures?size=32", "timm:resnet18?pretrained=false",
        "timm:mobilenetv3_small_050?pretrained=false", "--workers", "1",
    )  # fmt: skip
    assert [row["role"] for row in facts["rows"]] == ["product", "baseline", "teacher"]
    done = limbeck("evaluate", "run", "--data", "folder:pictures?size=32", "--json")
    assert done.status == 0, done.err
    done = limbeck("predict", "run", "--rows", "pictures/dark", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out.splitlines()[-1])["predictions"]["id"][:2] == ["0.png", "1.png"]
    rows = [json.loads(line) for line in (tmp_path / "run/seeds/0/metrics.jsonl").open()]
    student = [row for row in rows if row["stage"] == "student"]
    assert student
    assert all("wait_seconds" in row for row in student)


def test_a_table_of_numbers_and_one_of_labels(limbeck, run, tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 2))
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "price": x.sum(1)})
    table.assign(cheap=(x[:, 0] < 0) * 1, big=(x[:, 1] > 0) * 1).to_csv(
        tmp_path / "t.csv", index=False
    )
    facts = run("csv:t.csv?target=price&drop=cheap,big", "mlp?hidden=16", "mlp?hidden=4")
    assert {"rmse", "mae", "r2"} <= set(facts["rows"][0]["quality"])
    done = limbeck("predict", "run", "--data", "csv:t.csv?target=price&drop=cheap,big", "--json")
    assert done.status == 0, done.err
    known = json.loads(done.out.splitlines()[-1])["predictions"]
    # The same rows without their targets.
    table = pd.read_csv(tmp_path / "t.csv").iloc[known["id"]]
    table.drop(columns=["price", "cheap", "big"]).to_csv(tmp_path / "new.csv", index=False)
    done = limbeck("predict", "run", "--rows", "new.csv", "--json")
    assert done.status == 0, done.err
    new = json.loads(done.out.splitlines()[-1])["predictions"]
    assert np.allclose(new["price"], known["price"], atol=1e-5)
    for words in ([], ["--rows", "new.csv", "--data", "digits"]):
        wrong = limbeck("predict", "run", *words)
        assert wrong.status == 2
        assert "give --rows FILE for new samples, or --data NAME" in wrong.err
    (tmp_path / "run").rename(tmp_path / "first")
    labels = "csv:t.csv?target=cheap,big&drop=price"
    facts = run(labels, "mlp?hidden=16", "mlp?hidden=4")
    assert "f1" in facts["rows"][0]["quality"]
    wrong = limbeck("evaluate", "first", "--data", labels)
    assert wrong.status == 1
    assert "regression" in wrong.err


def test_a_table_of_texts(limbeck, run, tmp_path):
    pytest.importorskip("transformers")
    rows = [{"text": f"{('good', 'bad')[n % 2]} film {n % 3}", "label": n % 2} for n in range(60)]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    small = "num_hidden_layers=1&num_attention_heads=2&intermediate_size=16&vocab_size=100"
    facts = run(
        "jsonl:r.jsonl",
        f"hf:bert?hidden_size=16&{small}",
        f"hf:bert?hidden_size=8&{small}",
    )
    assert "accuracy" in facts["rows"][0]["quality"]
    done = limbeck("predict", "run", "--data", "jsonl:r.jsonl")
    assert done.status == 0, done.err
    (tmp_path / "new.csv").write_text("text\ngood film 1\nbad film 0\n")
    done = limbeck("predict", "run", "--rows", "new.csv")
    assert done.status == 0, done.err
    assert "2 samples" in done.out
    done = limbeck("report", "run")
    assert done.status == 0, done.err
    # A student of texts cannot read numbers.
    (tmp_path / "n.csv").write_text("a,label\n" + "\n".join(f"{n},{n % 2}" for n in range(30)))
    wrong = limbeck("evaluate", "run", "--data", "csv:n.csv")
    assert wrong.status == 1
    assert "reads texts" in wrong.err


def test_predictions_of_models_teach_without_a_teacher_being_named(limbeck, tmp_path):
    rows = [f"{n / 9},{n / 10},{n / 10 + 0.01}" for n in range(60)]
    (tmp_path / "said.csv").write_text("ridge,forest,y\n" + "\n".join(rows))
    short = ("--data", "oof:said.csv", "--student", "mlp?hidden=4", "--steps", "5")
    done = limbeck("run", "kd", *short, "--out", "run")
    assert done.status == 0, done.err
    assert "teacher ridge" in done.out
    assert "teacher forest" in done.out
    done = limbeck("compare", "none,kd", *short, "--seeds", "1", "--out", "both")
    assert done.status == 0, done.err
    wrong = limbeck("run", "kd", "--data", "csv:said.csv", "--student", "mlp", "--out", "other")
    assert wrong.status == 2
    assert "add --teacher NAME" in wrong.err

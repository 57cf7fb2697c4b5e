"""The bridge to sentence-transformers: vocabularies, encoders, teachers, losses, their trainer."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from limbeck.bridges.sentence_transformers.encoders import (
    assembled,
    document_vectors,
    documents_of,
    masked_lm,
    query_vectors,
    read_encoder,
    table_of,
    token_weights,
    write_encoder,
    write_masked_lm,
)
from limbeck.bridges.sentence_transformers.loading import loaded
from limbeck.bridges.sentence_transformers.losses import SparseDistillation
from limbeck.bridges.sentence_transformers.pooling import VocabularyPooling
from limbeck.bridges.sentence_transformers.remembered import RememberedTokens
from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher, retriever
from limbeck.bridges.sentence_transformers.word_pieces import tokenizer_of, word_pieces
from limbeck.errors import (
    ArgumentError,
    Interrupted,
    ModelError,
    RunError,
    UnusualUseWarning,
)
from limbeck.functional import flops_regularizer
from limbeck.loops import Optim
from limbeck.loops.hosted import train_hosted
from limbeck.run import Run
from limbeck.testing.retrieval import bi_encoder

WORDS = ("sort", "array", "rows", "matrix", "solve", "linear", "file", "read", "write", "plot")
TEXTS = [
    f"{WORDS[place % 10]} the {WORDS[(3 * place + 1) % 10]} by {WORDS[(7 * place + 2) % 10]} number"
    for place in range(40)
]


@pytest.fixture(scope="module")
def content():
    return word_pieces(TEXTS, 120)


@pytest.fixture
def encoder(content, tmp_path):
    return made(content, tmp_path)


def made(content, folder, **pooling):
    torch.manual_seed(0)
    write_masked_lm(folder / "lm", content, layers=1, width=16, length=16)
    body = masked_lm(folder / "lm")
    weights = token_weights(body.tokenizer, body.model.config.vocab_size, TEXTS, 16)
    return assembled(body, weights, VocabularyPooling(width=len(weights), **pooling))


def examples_of(size=4, slots=2):
    def at(step):
        found = []
        for row in range(step * size, (step + 1) * size):
            rows = [(row + slot * 11) % len(TEXTS) for slot in range(slots)]
            columns = {f"document_{slot}": TEXTS[one] for slot, one in enumerate(rows)}
            words = " ".join(TEXTS[rows[0]].split()[:3])
            found.append({"query": words, **columns, "label": [rows[0], *rows]})
        return found

    return at


def test_remembered_tokens_are_those_of_the_model(encoder):
    remembered = RememberedTokens(encoder.preprocess, encoder.tokenizer, most=12)
    long = " ".join(WORDS * 4)
    batches = [[TEXTS[0], "", long], [long, TEXTS[1], TEXTS[0]], TEXTS[2:4], TEXTS[10:30]]
    for task in ("query", "document"):
        for texts in batches:
            plain = encoder.preprocess(texts, prompt=None, task=task)
            found = remembered(texts, prompt=None, task=task)
            assert found.keys() == plain.keys()
            for name, value in plain.items():
                if isinstance(value, torch.Tensor):
                    assert found[name].dtype == value.dtype
                    assert torch.equal(found[name], value), (task, name)
                else:
                    assert found[name] == value
    assert len(remembered._rows) <= 12


def test_a_text_is_cut_once(encoder):
    asked = []

    def preprocess(texts, **options):
        asked.extend(texts)
        return encoder.preprocess(texts, **options)

    remembered = RememberedTokens(preprocess, encoder.tokenizer)
    for texts in (TEXTS[:4], TEXTS[2:6], TEXTS[:6]):
        remembered(texts, task="document")
    assert asked == TEXTS[:6]


def test_features_that_are_no_rows_of_tokens_are_passed_on(encoder):
    remembered = RememberedTokens(
        lambda texts, **options: {"pixels": torch.ones(len(texts))}, encoder.tokenizer
    )
    assert remembered(["a", "b"])["pixels"].shape == (2,)


def scores(queries, documents):
    """A teacher: documents near a query's number are better."""
    documents = documents if documents.ndim == 2 else documents.expand(len(queries), -1)
    return -(queries[:, None] - documents).abs().float()


def batch_of(encoder, size=3, slots=2, step=0):
    rows = examples_of(size, slots)(step)
    names = ["query", *(f"document_{slot}" for slot in range(slots))]
    features = []
    for name in names:
        task = "query" if name == "query" else "document"
        features.append(encoder.preprocess([one[name] for one in rows], task=task) | {"task": task})
    return features, torch.tensor([one["label"] for one in rows])


def test_a_corpus_has_one_vocabulary(content):
    assert np.array_equal(content, word_pieces(TEXTS, 120))
    tokenizer = tokenizer_of(content, 6)
    assert tokenizer("sort the ARRAY").input_ids[0] == tokenizer.cls_token_id
    assert len(tokenizer("sort " * 50, truncation=True).input_ids) == 6
    assert tokenizer("日").input_ids[1] == tokenizer.unk_token_id


def test_a_vocabulary_too_small_for_letters_is_refused():
    with pytest.raises(ArgumentError, match="vocabulary is 6"):
        word_pieces(TEXTS, 6)


def test_special_tokens_weigh_nothing_and_rare_ones_more(encoder):
    table = table_of(encoder)
    weights, tokenizer = table.weight, table.tokenizer
    assert weights[tokenizer.all_special_ids].abs().sum() == 0
    often, rare = (tokenizer.convert_tokens_to_ids(one) for one in ("the", "plot"))
    assert 0 < weights[often] < weights[rare]
    assert not weights.requires_grad


def test_vectors_are_those_of_sentence_transformers(encoder, tmp_path):
    write_encoder(encoder, tmp_path / "written")
    again = read_encoder(tmp_path / "written")
    documents = again.encode_document(TEXTS[:7]).to_dense().numpy()
    np.testing.assert_allclose(
        document_vectors(encoder, TEXTS[:7], chunk=3).toarray(), documents, atol=1e-6
    )
    queries = ["sort the array sort", "日本", ""]
    found = query_vectors(encoder, queries)
    np.testing.assert_allclose(found.toarray(), again.encode_query(queries).to_dense().numpy())
    assert found[1].nnz == 0
    assert document_vectors(encoder, []).shape == (0, len(table_of(encoder).weight))


def test_what_is_written_loads_without_limbeck(encoder, tmp_path):
    write_encoder(encoder, tmp_path / "written")
    code = (
        "import sys; sys.modules['limbeck'] = None\n"
        "from sentence_transformers import SparseEncoder\n"
        f"one = SparseEncoder({str(tmp_path / 'written')!r}, device='cpu')\n"
        f"print(one.encode_document([{TEXTS[0]!r}]).to_dense().sum().item())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(document_vectors(encoder, TEXTS[:1]).sum(), rel=1e-5)
    content = b"".join(one.read_bytes() for one in (tmp_path / "written").rglob("*.json"))
    assert str(tmp_path).encode() not in content


def test_pruning_has_no_form_in_sentence_transformers(content, tmp_path):
    pruned = made(content, tmp_path, prune=0.9)
    assert (
        document_vectors(pruned, TEXTS[:3]).nnz
        < document_vectors(made(content, tmp_path), TEXTS[:3]).nnz
    )
    with pytest.raises(ModelError, match="prune"):
        write_encoder(pruned, tmp_path / "written")


def test_bm25_is_a_dot_product():
    import bm25s

    teacher = LexicalTeacher(TEXTS)
    said = (teacher.queries(["sort rows", "日本"]) @ teacher.documents(TEXTS).T).toarray()
    index = bm25s.BM25(method="lucene")
    index.index(bm25s.tokenize(TEXTS, stopwords="en", show_progress=False), show_progress=False)
    np.testing.assert_allclose(said[0], index.get_scores(["sort", "rows"]), rtol=1e-5)
    assert not said[1].any()
    with pytest.raises(ArgumentError, match="BM25"):
        teacher.documents(TEXTS[:3])


def test_bm25_is_the_same_in_every_process(tmp_path):
    """bm25s numbers words in the order of their hashes; what one process keeps another reads."""
    script = tmp_path / "made.py"
    script.write_text(
        "import sys\n"
        "from limbeck.bridges.sentence_transformers.retrievers import LexicalTeacher\n"
        f"made = LexicalTeacher({TEXTS!r})\n"
        f"vectors = made.documents({TEXTS!r}).toarray(), made.queries({TEXTS[:3]!r}).toarray()\n"
        "print(*[one.tobytes().hex() for one in vectors])\n"
    )
    said = [
        subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert said[0].strip()


def test_half_precision_leaves_scores_in_full(encoder):
    seen = []

    def teacher(queries, documents):
        seen.append(torch.is_autocast_enabled("cpu"))
        return torch.rand(len(queries), len(documents)) * 30

    with torch.autocast("cpu", torch.bfloat16):
        terms = SparseDistillation(encoder, teacher)(*batch_of(encoder))
    assert seen == [False]
    assert terms["ranking"].dtype == torch.float32


def test_teachers_of_every_kind(encoder, tmp_path):
    dense = retriever(bi_encoder(TEXTS), "dense")
    vectors = dense.documents(TEXTS[:3])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    write_encoder(encoder, tmp_path / "written")
    own = loaded(str(tmp_path / "written"), "sparse")
    assert sparse.issparse(own.documents(TEXTS[:3]))
    np.testing.assert_allclose(
        own.queries(TEXTS[:3]).toarray(), query_vectors(encoder, TEXTS[:3]).toarray()
    )
    called = retriever(lambda queries, documents: [len(one) for one in documents], "length")
    assert called.pairs(["a", "b"], ["x", "xyz"]).tolist() == [1, 3]
    with pytest.raises(ArgumentError, match="scores of shape"):
        retriever(lambda queries, documents: [1.0], "short").pairs(["a", "b"], ["x", "y"])
    with pytest.raises(ModelError, match="euclidean"):
        retriever(bi_encoder(TEXTS, similarity="euclidean"), "far")
    with pytest.raises(ModelError, match="does not load"):
        loaded(str(tmp_path / "nothing"), "nothing")


def test_terms_are_ranking_and_flops_by_slot(encoder):
    encoder.eval()
    loss = SparseDistillation(encoder, scores, sparsity=0.5, warmup_steps=4, step=1)
    features, labels = batch_of(encoder)
    terms = loss(features, labels)
    rows = labels[:, 1:].flatten().tolist()
    documents = torch.from_numpy(document_vectors(encoder, [TEXTS[one] for one in rows]).toarray())
    wanted = 0.5 * (2 / 4) ** 2 * flops_regularizer(documents, slots=2)
    assert terms["flops"].item() == pytest.approx(wanted.item(), rel=1e-5)
    assert float(loss.active) == pytest.approx((documents > 0).sum(1).float().mean().item())
    texts = [one["query"] for one in examples_of(3)(0)]
    queries = torch.from_numpy(query_vectors(encoder, texts).toarray())
    student = (queries @ documents.T).log_softmax(-1)
    teacher = scores(labels[:, 0], labels[:, 1:].flatten()).log_softmax(-1)
    wanted = (teacher.exp() * (teacher - student)).sum(-1).mean()
    assert terms["ranking"].item() == pytest.approx(wanted.item(), rel=1e-4)


def test_the_last_layer_and_the_pooling_work_as_one(encoder):
    """No logits are made in between, slopes are those of both in turn, and nothing is left over."""
    encoder.eval()
    network, pooling = documents_of(encoder)
    slopes, sizes = [], []
    for as_one in (True, False):
        pooling.fits = as_one
        encoder.zero_grad()
        seen = pooling.register_forward_hook(
            lambda _module, given, _out: sizes.append(given[0]["token_embeddings"].shape[-1])
        )
        SparseDistillation(encoder, scores)(*batch_of(encoder))["ranking"].backward()
        seen.remove()
        slopes.append([one.grad.clone() for one in network.parameters() if one.grad is not None])
    assert sizes == [network.model.config.hidden_size, network.model.config.vocab_size]
    for slope, same in zip(*slopes, strict=True):
        torch.testing.assert_close(slope, same, atol=1e-5, rtol=1e-4)
    assert not pooling.head
    assert "forward" not in vars(network.model.get_output_embeddings())


def test_a_network_that_changes_its_logits_keeps_its_last_layer(encoder):
    network, pooling = documents_of(encoder)
    whole = network.model.forward

    def halved(*args, **options):
        found = whole(*args, **options)
        found["logits"] = found["logits"] / 2
        return found

    network.model.forward = halved
    expected = encoder.encode_document(TEXTS[:3]).to_dense().numpy()
    np.testing.assert_allclose(document_vectors(encoder, TEXTS[:3]).toarray(), expected, atol=1e-6)
    assert pooling.fits is False


@pytest.mark.parametrize("ranking", ["kl", "margin-mse", "info-nce"])
@pytest.mark.parametrize("in_batch", [True, False])
def test_every_ranking_gives_gradients(encoder, ranking, in_batch):
    teacher = None if ranking == "info-nce" else scores
    loss = SparseDistillation(encoder, teacher, ranking=ranking, in_batch=in_batch)
    terms = loss(*batch_of(encoder))
    terms["ranking"].backward()
    grads = [one.grad for one in encoder.parameters() if one.requires_grad]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)


def test_in_batch_margins_are_from_the_own_document(encoder):
    encoder.eval()
    loss = SparseDistillation(encoder, scores, ranking="margin-mse", sparsity=0.0)
    features, labels = batch_of(encoder)
    rows = labels[:, 1:].flatten()
    documents = torch.from_numpy(
        document_vectors(encoder, [TEXTS[one] for one in rows.tolist()]).toarray()
    )
    texts = [one["query"] for one in examples_of(3)(0)]
    student = torch.from_numpy(query_vectors(encoder, texts).toarray()) @ documents.T
    gap = student - scores(labels[:, 0], rows)
    own = gap[torch.arange(3), torch.arange(3) * 2]
    wanted = (gap - own[:, None]).square().sum() / (3 * 5)
    assert loss(features, labels)["ranking"].item() == pytest.approx(wanted.item(), rel=1e-4)


def test_a_document_that_answers_twice_is_no_negative(encoder):
    encoder.eval()
    loss = SparseDistillation(encoder, None, ranking="info-nce", sparsity=0.0)
    features, labels = batch_of(encoder, size=2, slots=1)
    twice = labels.clone()
    twice[1, 1] = twice[0, 1]
    assert loss(features, twice)["ranking"].item() == pytest.approx(0.0, abs=1e-6)
    assert loss(features, labels)["ranking"].item() > 0


def test_teachers_and_rankings_that_do_not_fit_are_refused(encoder):
    with pytest.raises(ArgumentError, match="info-nce"):
        SparseDistillation(encoder, scores, ranking="info-nce")
    with pytest.raises(ArgumentError, match="there is no teacher"):
        SparseDistillation(encoder, None, ranking="kl")


class Stopping(Run):
    """A run that is stopped after a row."""

    rows = 0

    def log(self, **row):
        super().log(**row)
        self.rows += 1
        if self.rows == 5:
            import signal

            signal.raise_signal(signal.SIGINT)


def trained(folder, content, kind=Run, sparsity=0.01, optim=None, steps=12):
    folder.mkdir(parents=True, exist_ok=True)
    encoder = made(content, folder)
    loss = SparseDistillation(encoder, scores, sparsity=sparsity, warmup_steps=4)
    run = kind(folder / "run")
    optim = optim or Optim("adamw", lr=1e-3, schedule="linear", warmup=0.2, clip=1.0)
    train_hosted(run, "student", encoder, loss, examples_of(), optim, steps)
    return encoder


def rows_of(folder):
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_stopped_and_gone_on_with_gives_the_same_bits(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    whole = trained(tmp_path / "whole", content)
    with pytest.raises(Interrupted, match="at step 5 of 12"):
        trained(tmp_path / "parts", content, Stopping)
    parts = trained(tmp_path / "parts", content)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "parts")
    assert {"ranking", "flops", "lr", "active", "lambda"} <= set(rows_of(tmp_path / "whole")[0])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["parts", "whole"]
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    again = trained(tmp_path / "whole", content)
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True)
    )


@pytest.mark.filterwarnings("ignore:documents have")
def test_documents_that_become_empty_stop_the_run(content, tmp_path):
    with pytest.raises(RunError, match=r"no active dimension.* the checkpoint of step [1-9]"):
        trained(tmp_path, content, sparsity=1e4, optim=Optim("adamw", lr=0.3), steps=60)
    kept = Run(tmp_path / "run").resume("student")
    assert kept.models["encoder"]


class Emptied(SparseDistillation):
    """A loss to which all documents are empty."""

    def forward(self, features, labels):
        terms = super().forward(features, labels)
        self.active = torch.zeros(())
        return terms


@pytest.mark.parametrize(
    ("kind", "error", "steps"), [(Run, RunError, 12), (Stopping, Interrupted, 9)]
)
def test_where_documents_were_always_empty_nothing_is_said_to_be_kept(
    content, tmp_path, kind, error, steps
):
    encoder = made(content, tmp_path)
    loss = Emptied(encoder, scores)
    with pytest.raises(error, match="empty from the first step on, and no checkpoint is kept"):
        train_hosted(
            kind(tmp_path / "run"), "student", encoder, loss, examples_of(), Optim(), steps
        )
    assert Run(tmp_path / "run").resume("student") is None


def test_documents_that_lose_their_tokens_are_warned_of(content, tmp_path):
    watched = made(content, tmp_path)

    class Thinning(SparseDistillation):
        def forward(self, features, labels):
            terms = super().forward(features, labels)
            self.active = torch.tensor(0.5)
            return terms

    loss = Thinning(watched, scores)
    with pytest.warns(UnusualUseWarning, match=r"0\.5 active dimensions"):
        train_hosted(Run(tmp_path / "run"), "student", watched, loss, examples_of(), Optim(), 3)


def test_a_loss_that_is_not_finite_is_told(content, tmp_path):
    with pytest.raises(RunError, match="not finite"):
        trained(tmp_path, content, sparsity=1e38, optim=Optim("sgd", lr=1e30))


def test_two_processes_learn_as_one(tmp_path):
    script = Path(__file__).with_name("two_processes.py")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    command = [sys.executable, *launch, str(tmp_path / "two"), "kl", "in_batch"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    spec = importlib.util.spec_from_file_location("two_processes_of_a_bridge", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    one = module.trained(tmp_path / "one", "kl", True)[0].state_dict()
    two = torch.load(tmp_path / "two" / "weights.pt")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5, msg=name)

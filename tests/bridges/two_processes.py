"""Trains a sparse encoder in as many processes as there are and saves its weights."""

import sys
from pathlib import Path

import torch

from limbeck.bridges.sentence_transformers.encoders import (
    assembled,
    masked_lm,
    token_weights,
    write_masked_lm,
)
from limbeck.bridges.sentence_transformers.losses import SparseDistillation
from limbeck.bridges.sentence_transformers.pooling import VocabularyPooling
from limbeck.bridges.sentence_transformers.word_pieces import word_pieces
from limbeck.loops import Optim
from limbeck.loops.hosted import train_hosted
from limbeck.loops.retrieving import batch_of
from limbeck.run import Run

TEXTS = [f"{'abcdefgh'[one % 8]} word {one} of {'ijklmnop'[one // 8]} many" for one in range(64)]


def scores(queries, documents):
    """A teacher: documents near a query's number are better."""
    documents = documents if documents.ndim == 2 else documents.expand(len(queries), -1)
    return -(queries[:, None] - documents).abs().float()


def trained(folder, ranking, in_batch):
    """The encoder after a few steps of batches of four queries."""
    torch.manual_seed(0)
    run = Run(folder / "run")
    own = folder / f"lm-{run.engine.rank}"
    write_masked_lm(own, word_pieces(TEXTS, 120), layers=1, width=16, length=12)
    body = masked_lm(own)
    for module in body.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    body.model.config.attention_probs_dropout_prob = 0.0
    weights = token_weights(body.tokenizer, body.model.config.vocab_size, TEXTS, 12)
    encoder = assembled(body, weights, VocabularyPooling(width=len(weights)), frozen=False)
    teacher = None if ranking == "info-nce" else scores
    loss = SparseDistillation(
        encoder, teacher, ranking=ranking, in_batch=in_batch, sparsity=0.1, warmup_steps=0
    )

    def examples(step):
        found = []
        for row in batch_of(run, "student", step, len(TEXTS), 4).tolist():
            rows = [row, (row + 11) % len(TEXTS)]
            columns = {f"document_{slot}": TEXTS[one] for slot, one in enumerate(rows)}
            found.append({"query": TEXTS[row][:12], **columns, "label": [row, *rows]})
        return found

    train_hosted(run, "student", encoder, loss, examples, Optim("sgd", lr=0.1), 4)
    return encoder, run


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    made, finished = trained(place, sys.argv[2], sys.argv[3] == "in_batch")
    if finished.engine.rank == 0:
        torch.save(made.state_dict(), place / "weights.pt")

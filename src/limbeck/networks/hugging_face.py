"""Classifiers of transformers by name, for pictures and texts, with their own preprocessing."""

from __future__ import annotations

import json
import re
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.data.space import InputSpace
from limbeck.data.texts import decode_texts
from limbeck.errors import ArgumentError, ModelError, UnusualUseWarning, nearest
from limbeck.networks.adapted import adapted
from limbeck.networks.making import library, made, mark

# Code that lies beside a model's weights does not run.
OWN_CODE = {"trust_remote_code": False}
LENGTH, TOKENIZER = 128, "tokenizer_config.json"
WORDS = re.compile(r"\w+|[^\w\s]")
Tokens = Callable[[Sequence[str]], list[list[int]]]


def hugging_face(
    rest: str, options: dict[str, Any], space: InputSpace | None, outputs: int, stored: Path | None
) -> nn.Module:
    """Build a classifier: of pictures where the data has pictures, else of texts.

    Args:
        rest: a kind of model such as ``bert`` or ``vit``, made from its configuration and trained
            here, or a folder or hub name that weights are loaded from.
        options: fields of the configuration of a kind of model; ``max_length`` for texts.
        space: of the inputs, None for texts.
        outputs: classes or numbers that come out.
        stored: folder of a product, which is rebuilt from the files in it.

    Returns:
        The classifier.

    Raises:
        ModelError: transformers is missing, or weights cannot be had.
        ArgumentError: an option is unknown, or inputs are neither pictures nor texts.
    """
    transformers = library("transformers", "text")
    if space is not None and space.channels is None:
        raise ArgumentError(f"hf:{rest} reads pictures or texts, and inputs are {space.shape}")
    options = dict(options)
    length = options.pop("max_length", None)
    kinds = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    name, pictures = f"hf:{rest}", space is not None
    from_kind = stored is None and rest in kinds and not Path(rest).is_dir()
    if from_kind:
        config = _configuration(transformers, rest, options, outputs)
        if pictures:
            _fit_pictures(config, options, space)  # type: ignore[arg-type]
    else:
        where = str(stored) if stored is not None else rest
        if stored is None and options:
            raise ArgumentError(
                f"{name} takes max_length beside its own configuration, not {', '.join(options)}"
            )
        config = made(name, lambda: transformers.AutoConfig.from_pretrained(where, **OWN_CODE))
    kind = "ImageClassification" if pictures else "SequenceClassification"
    maker = getattr(transformers, f"AutoModelFor{kind}")
    if from_kind or stored is not None:
        config.num_labels = outputs
        network = made(name, lambda: maker.from_config(config))
    else:
        network, fresh = _loaded(name, maker, rest, outputs)
        mark(network, fresh=fresh)
    if pictures:
        classifier = PictureClassifier(network)
        native = None if from_kind else _picture_space(name, transformers, stored or rest, config)
        classifier.space = native
        return classifier if native is None else adapted(classifier, space, native)
    longest = getattr(config, "max_position_embeddings", LENGTH) - _offset(network)
    if length is not None and not (type(length) is int and 2 <= length <= longest):
        raise ArgumentError(
            f"{name}: max_length is {length!r}, expected 2 to {longest}, which the model can take"
        )
    tokenizer = None
    if not (from_kind or (stored is not None and not (stored / TOKENIZER).is_file())):
        source = str(stored or rest)
        tokenizer = made(
            name, lambda: transformers.AutoTokenizer.from_pretrained(source, **OWN_CODE)
        )
    return TextClassifier(network, tokenizer, length or min(LENGTH, longest))


class PictureClassifier(nn.Module):
    """A picture classifier of transformers that takes a batch of pictures and returns logits."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.space: InputSpace | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(N, C)`` of pictures ``(N, C, H, W)``."""
        return self.network(pixel_values=x).logits

    def write_beside(self, folder: Path) -> None:
        """Write what rebuilds the network, without its weights."""
        _write_configuration(self.network.config, folder)
        if self.space is not None:
            facts = {
                # Of the processors the one that does this and nothing else.
                "image_processor_type": "ViTImageProcessor",
                "size": {"height": self.space.size[0], "width": self.space.size[1]},
                "do_normalize": bool(self.space.mean and self.space.std),
                "image_mean": self.space.mean,
                "image_std": self.space.std,
            }
            (folder / "preprocessor_config.json").write_text(json.dumps(facts, indent=1) + "\n")


class TextClassifier(nn.Module):
    """A text classifier that cuts texts into tokens itself, so that any two share a batch.

    Texts longer than the model takes are cut at the end; the first time a warning says so.

    Args:
        network: a sequence classifier of transformers.
        tokenizer: its tokenizer; None numbers words by their hash, which needs no vocabulary.
        length: the most tokens of a text.
    """

    def __init__(self, network: Any, tokenizer: Any, length: int) -> None:
        super().__init__()
        self.network, self.tokenizer, self.length = network, tokenizer, length
        config = network.config
        self.pad = next(
            (one for one in (getattr(tokenizer, "pad_token_id", None), config.pad_token_id,
                             getattr(tokenizer, "eos_token_id", None)) if one is not None), 0,
        )  # fmt: skip
        config.pad_token_id = self.pad
        self.tokens: Tokens = (
            hashed_words(config.vocab_size, self.pad) if tokenizer is None else self._by_tokenizer
        )
        self._warned = False

    def forward(self, text: Tensor) -> Tensor:
        """Return the logits ``(N, C)`` of padded bytes ``(N, L)``; see `encode_texts`."""
        if text.dtype != torch.uint8 or text.ndim != 2:
            raise ModelError(
                f"{type(self.network).__name__} reads texts and got {text.dtype} inputs of shape "
                f"{tuple(text.shape)}; give data with a column of texts"
            )
        ids, mask = self.encode(decode_texts(text))
        device = next(self.network.parameters()).device
        said = self.network(input_ids=ids.to(device), attention_mask=mask.to(device))
        return said.logits

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The tokens of N texts, padded to the longest, and 1 where there is one, ``(N, T)``."""
        rows = self.tokens(texts)
        longest = max(map(len, rows), default=0)
        if longest > self.length:
            self._warn_once(longest)
            if self.tokenizer is not None:
                # Its own cut keeps the mark that closes a text.
                cut = self.tokenizer(list(texts), truncation=True, max_length=self.length)
                rows = cut["input_ids"]
        width = min(max(longest, 1), self.length)
        ids = torch.full((len(rows), width), self.pad)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            kept = row[:width]
            ids[place, : len(kept)] = torch.tensor(kept, dtype=ids.dtype)
            mask[place, : len(kept)] = 1
        return ids, mask

    def write_beside(self, folder: Path) -> None:
        """Write what rebuilds the network, without its weights: configuration and tokenizer."""
        _write_configuration(self.network.config, folder)
        if self.tokenizer is None:
            return
        self.tokenizer.save_pretrained(folder)
        for file in folder.glob("*.json"):
            facts = json.loads(file.read_text())
            if isinstance(facts, dict) and "name_or_path" in facts:
                del facts["name_or_path"]
                file.write_text(json.dumps(facts, indent=1) + "\n")

    def _warn_once(self, longest: int) -> None:
        if not self._warned:
            warnings.warn(
                f"a text of {longest} tokens is cut to the {self.length} that the model is given; "
                "raise ?max_length behind its name",
                UnusualUseWarning,
                stacklevel=3,
            )
        self._warned = True

    def _by_tokenizer(self, texts: Sequence[str]) -> list[list[int]]:
        return self.tokenizer(list(texts), verbose=False)["input_ids"] if len(texts) else []


def hashed_words(size: int, pad: int) -> Tokens:
    """Numbers for words without a vocabulary: lower-case words and signs, by their hash.

    The first token of each text is a mark of its own. Two words share a number about as often as
    the numbers are few. Source: the hashing trick, Weinberger et al. 2009, arXiv 0902.2206.

    Args:
        size: how many numbers there are.
        pad: the number that means nothing.

    Returns:
        From N texts to N lists of numbers.

    Example:
        >>> hashed_words(1000, 0)(["A cat", "a CAT!"])[1][:3] == hashed_words(1000, 0)(["A cat"])[0]
        True
    """
    free = [one for one in range(pad + 3) if one != pad][:2]
    start, first = free[0], max(pad, *free) + 1
    if size <= first:
        raise ArgumentError(f"vocab_size is {size}, expected more than {first}")
    known: dict[str, int] = {}

    def number(word: str) -> int:
        if word not in known:
            known[word] = first + zlib.crc32(word.encode()) % (size - first)
        return known[word]

    return lambda texts: [[start, *map(number, WORDS.findall(one.lower()))] for one in texts]


def _offset(network: nn.Module) -> int:
    """Positions that a model leaves out: some count them from behind the padding's number."""
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


def _configuration(transformers: Any, kind: str, options: dict[str, Any], outputs: int) -> Any:
    usual = transformers.AutoConfig.for_model(kind)
    known = [*usual.to_dict(), *usual.attribute_map, "max_length"]
    for option in options:
        if option not in known:
            raise ArgumentError(f"hf:{kind} has no option {option!r}; {nearest(option, known)}")
    name = f"hf:{kind}"
    return made(
        name, lambda: transformers.AutoConfig.for_model(kind, num_labels=outputs, **options)
    )


def _fit_pictures(config: Any, options: dict[str, Any], space: InputSpace) -> None:
    """Give a configuration the size and channels of the data where the user did not."""
    for name, value in (("image_size", space.size[0]), ("num_channels", space.channels)):
        if name not in options and hasattr(config, name):
            setattr(config, name, value)


def _loaded(name: str, maker: Any, where: str, outputs: int) -> tuple[Any, bool]:
    network, report = made(
        name,
        lambda: maker.from_pretrained(
            where,
            num_labels=outputs,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **OWN_CODE,
        ),
    )
    return network, bool(report["missing_keys"] or report["mismatched_keys"])


def _picture_space(
    name: str, transformers: Any, where: str | Path, config: Any
) -> InputSpace | None:
    if isinstance(where, Path) and not (where / "preprocessor_config.json").is_file():
        return None
    if isinstance(where, Path):
        facts = json.loads((where / "preprocessor_config.json").read_text())
    else:
        facts = made(
            name, lambda: transformers.AutoImageProcessor.from_pretrained(where, **OWN_CODE)
        ).to_dict()
    factor = facts.get("rescale_factor", 1 / 255) if facts.get("do_rescale", True) else 1.0
    if abs(factor * 255 - 1) > 1e-6:
        raise ModelError(f"{name} multiplies pixels by {factor:g}, expected 1/255")
    normalises = facts.get("do_normalize", True)
    size = facts.get("crop_size") or facts["size"]
    height = size.get("height", size.get("shortest_edge"))
    return InputSpace(
        size=(height, size.get("width", height)),
        channels=getattr(config, "num_channels", 3),
        mean=tuple(facts.get("image_mean") or ()) if normalises else (),
        std=tuple(facts.get("image_std") or ()) if normalises else (),
    )


def _write_configuration(config: Any, folder: Path) -> None:
    facts = {name: value for name, value in config.to_dict().items() if name != "_name_or_path"}
    (folder / "config.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")

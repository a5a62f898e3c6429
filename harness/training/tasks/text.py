"""A character language model on a real text: the manual that comes with Python, or a user's file.

The model is a GPT (Radford et al., Language Models are Unsupervised Multitask Learners, 2019) of torch's transformer
layers. The last tenth of the text is held out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import InputError
from harness.training.tasks.base import Batch, Score, place_of
from harness.training.tasks.sharding import Sharding
from harness.training.tasks.task_options import WIDTH_STEP

_SECTIONS: Final = 10
"""Parts of the text that serve as labels to divide it unevenly."""
_EVAL_WINDOWS: Final = 32


def read_text(path: str | None) -> str:
    """The text of a file; None: the Python manual's topics (pydoc_data.topics). Raises InputError."""
    if path is None:
        try:
            from pydoc_data.topics import topics
        except ImportError:
            raise InputError("this Python has no manual (pydoc_data); name a text file: --data FILE") from None
        return "\n\n".join(topics[name] for name in sorted(topics))
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--data {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from None


class Gpt(nn.Module):
    """Pre-norm transformer with causal attention.

    Args:
        characters: size of the alphabet.
        width: of the embedding; a multiple of WIDTH_STEP, with one head per WIDTH_STEP.
        layers: number of blocks.
        context: the most characters that it sees at once.
    """

    def __init__(self, characters: int, width: int, layers: int, context: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(characters, width)
        self.places = nn.Embedding(context, width)
        block = nn.TransformerEncoderLayer(
            width, width // WIDTH_STEP, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, characters, bias=False)
        for parameter in self.parameters():  # TransformerEncoder copies one block
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, text: Tensor) -> Tensor:
        """Scores of every next character, (batch, length, characters), from (batch, length)."""
        length = text.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=text.device)
        hidden = self.characters(text) + self.places(torch.arange(length, device=text.device))
        return self.head(self.blocks(hidden, mask=mask, is_causal=True))


class TextTask:
    """A GPT that learns to continue a text. See LearningTask.

    Args:
        text: the whole text.
        rank: of this process.
        ranks: number of ranks.
        seed: of the run.
        batch_size: windows per rank and step.
        sharding: how the text is divided among ranks.
        width: of the embedding.
        layers: of the model.
        context: characters in a window.

    Raises:
        InputError: the text is too short.
    """

    def __init__(
        self,
        text: str,
        rank: int,
        ranks: int,
        seed: int,
        batch_size: int,
        sharding: Sharding,
        width: int = 192,
        layers: int = 3,
        context: int = 128,
    ) -> None:
        alphabet = sorted(set(text))
        number = {character: index for index, character in enumerate(alphabet)}
        data = torch.tensor([number[character] for character in text])
        cut = len(data) * 9 // 10
        self._train, self._test = data[:cut], data[cut:]
        if len(self._test) <= context + 1 or cut // _SECTIONS <= context + 1:
            raise InputError(f"a text of {len(text)} characters is too short for windows of {context}")
        self._rank, self._seed, self._batch_size, self._context = rank, seed, batch_size, context
        self._alphabet, self._width, self._layers = len(alphabet), width, layers
        starts = np.arange(0, cut - context - 1)
        labels = starts * _SECTIONS // len(starts)
        self._starts = sharding.divide(labels, ranks, seed)[rank]

    def model(self) -> nn.Module:
        torch.manual_seed(self._seed)
        return Gpt(self._alphabet, self._width, self._layers, self._context)

    def batch(self, step: int) -> Batch:
        random = np.random.default_rng([self._seed, self._rank, step, 0x7E87])
        return self._windows(self._train, random.choice(self._starts, self._batch_size))

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(module(batch[0]).flatten(0, 1), batch[1].flatten())

    def evaluate(self, model: nn.Module) -> Score:
        starts = np.linspace(0, len(self._test) - self._context - 1, _EVAL_WINDOWS).astype(np.int64)
        inputs, targets = (part.to(place_of(model)) for part in self._windows(self._test, starts))
        with torch.no_grad():
            return Score(float(self.loss(model, (inputs, targets))))

    def facts(self) -> dict[str, Any]:
        return {"characters": len(self._train), "windows": len(self._starts), "alphabet": self._alphabet}

    def _windows(self, data: Tensor, starts: np.ndarray[Any, Any]) -> Batch:
        windows = torch.stack([data[start : start + self._context + 1] for start in starts])
        return windows[:, :-1], windows[:, 1:]

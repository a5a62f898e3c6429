"""Image classification on real data: scikit-learn's digits, which need no download, or MNIST by torchvision.

Digits: 1797 images of 8 x 8 pixels (Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998). The
model is a small convolutional network, after LeNet (LeCun et al., 1998): much computing for few parameters. Every fifth
image of each label is held out.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import InputError, UnavailableError
from harness.training.tasks.base import Batch, Score, place_of
from harness.training.tasks.sharding import Sharding, batch_indices

_HOLD_OUT: Final = 5
_EVALUATED_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Images:
    """Pixels from 0 to 1, a row per image, and labels from 0."""

    train: Batch
    test: Batch

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return int(self.train[1].max()) + 1


def load_digits() -> Images:
    """Read scikit-learn's file, without importing it, which takes 2 s of a core. Raises UnavailableError."""
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise UnavailableError("the digits come with scikit-learn, which is missing: pip install scikit-learn")
    path = Path(found.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    try:
        table = np.loadtxt(path, delimiter=",")
    except OSError as error:
        raise UnavailableError(f"this scikit-learn has no {path} ({error}); install scikit-learn 1.4 to 1.9") from None
    pixels = torch.tensor(table[:, :-1] / 16, dtype=torch.float32)
    labels = torch.tensor(table[:, -1], dtype=torch.int64)
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        held_out[torch.nonzero(labels == label).flatten()[::_HOLD_OUT]] = True
    return Images((pixels[~held_out], labels[~held_out]), (pixels[held_out], labels[held_out]))


def load_mnist(folder: str) -> Images:
    """60,000 images of 28 x 28 (LeCun et al., 1998). Raises UnavailableError, InputError.

    Args:
        folder: of the files.
    """
    try:
        from torchvision.datasets import MNIST
    except ImportError as error:
        raise UnavailableError(f"MNIST is read by torchvision ({error}); install it, or take --task digits") from None
    try:
        parts = [MNIST(folder, train=train, download=False) for train in (True, False)]
    except RuntimeError:
        raise InputError(
            f"no MNIST in {folder}; fetch it once: python -c"
            f" \"from torchvision.datasets import MNIST; MNIST('{folder}', download=True)\", or give --data FOLDER"
        ) from None
    train, test = ((part.data.flatten(1) / 255.0, part.targets) for part in parts)
    return Images(train, test)


class ImageTask:
    """A convolutional network that learns to classify images. See LearningTask.

    Args:
        images: the data.
        rank: of this process.
        ranks: number of ranks.
        seed: of the run.
        batch_size: examples per rank and step.
        sharding: how examples are divided among ranks.
        width: channels of the first layer; the second has twice as many.
    """

    def __init__(
        self, images: Images, rank: int, ranks: int, seed: int, batch_size: int, sharding: Sharding, width: int
    ) -> None:
        self._images, self._rank, self._seed, self._batch_size, self._width = images, rank, seed, batch_size, width
        self._shard = sharding.divide(images.train[1].numpy(), ranks, seed)[rank]

    def model(self) -> nn.Module:
        torch.manual_seed(self._seed)
        side, width = math.isqrt(self._images.train[0].shape[1]), self._width
        return nn.Sequential(
            nn.Unflatten(1, (1, side, side)),
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * (side // 2) ** 2, self._images.classes),
        )

    def batch(self, step: int) -> Batch:
        chosen = torch.from_numpy(batch_indices(self._shard, self._batch_size, step, self._seed, self._rank))
        return self._images.train[0][chosen], self._images.train[1][chosen]

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(module(batch[0]), batch[1])

    def evaluate(self, model: nn.Module) -> Score:
        pixels, labels = (part.to(place_of(model)) for part in self._images.test)
        with torch.no_grad():  # all of MNIST at once would take 2 GB
            scores = torch.cat([model(part) for part in pixels.split(_EVALUATED_AT_ONCE)])
            loss = float(functional.cross_entropy(scores, labels))
        return Score(loss, float((scores.argmax(1) == labels).float().mean()))

    def facts(self) -> dict[str, Any]:
        labels = self._images.train[1].numpy()[self._shard]
        counts = np.bincount(labels, minlength=self._images.classes)
        return {"examples": len(self._shard), "of_label": counts.tolist(), "held_out": len(self._images.test[1])}

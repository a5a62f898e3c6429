"""ExoGym's Trainer for one rank; the others run in the other nodes, over the shaped links."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import os
import time
import warnings
from pathlib import Path
from typing import Any, Final

from harness import metrics
from harness.errors import InputError
from harness.training.device import DEVICES, find_device
from harness.training.exogym.exchange import (
    ModelExchange,
    alike,
    kept_random_numbers,
    outline,
    values,
    without_broadcast,
)
from harness.training.exogym.installed import ExoGym, load

_VALUES: Final = "model's values"
_FROM_KEYWORDS: Final = ("wandb_project", "run_name")
"""ExoGym's checkpoints look for these in the config; TrainConfig has them in its kwargs."""


class Trainer:
    """Trains one rank in this process, with ExoGym's loop and strategies.

    Args:
        model: returns the loss when it is called with a batch.
        train_dataset: a dataset, the same on all nodes, or ``f(rank, num_nodes, train_dataset=True)`` that makes one.
        val_dataset: the same for validation.
        start_port: not used: `harness run` and torchrun set where ranks meet.
        device: cpu, cuda or, as in ExoGym, None: cuda if there is one. Nodes of one machine share its GPUs.
        devices: numbers of GPUs; rank r takes the one at r modulo their count. None: all GPUs.
        more: arguments of other versions of ExoGym; treated as if given to ``fit``.
    """

    def __init__(
        self,
        model: Any,
        train_dataset: Any,
        val_dataset: Any,
        start_port: int | None = None,
        device: str | None = None,
        devices: list[int] | None = None,
        **more: Any,
    ) -> None:
        self.model_orig = model
        self.train_dataset = train_dataset
        self.val_dataset = val_dataset
        self.port = start_port
        self.device = device
        self.devices = devices
        self.config: Any = None
        self._more = more

    def fit(
        self,
        num_epochs: int = 1,
        strategy: Any = None,
        num_nodes: int | None = None,
        max_steps: int | None = None,
        batch_size: int = 16,
        minibatch_size: int | None = None,
        shuffle: bool = True,
        val_size: int = 64,
        val_interval: int = 100,
        autocast: bool = False,
        checkpoint_interval: int | None = None,
        correlation_interval: int | None = None,
        save_dir: str = "./checkpoints",
        dataloader_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Train until all ranks have finished; returns the mean of all ranks' models.

        The arguments are ExoGym's; ``minibatch_size`` is ``batch_size`` by default. Keywords that are fields of its
        TrainConfig set these, all others go where its own Trainer puts them.

        Raises:
            UnavailableError: there is no ExoGym.
            InputError: this does not run under `harness run` or torchrun, the number of nodes differs, or ranks have
                different data or arguments.
            HarnessError: a rank cannot be reached.
        """
        if strategy is None:
            raise InputError("fit(strategy=...) is missing: for example exogym.strategy.FedAvgStrategy(H=20)")
        if not 1 <= (minibatch_size or batch_size) <= batch_size:
            raise InputError(f"batch_size={batch_size}, minibatch_size={minibatch_size}: 1 <= minibatch <= batch")
        exogym = load()
        ranks = _ranks(num_nodes)
        settings = {
            "num_epochs": num_epochs,
            "max_steps": max_steps,
            "batch_size": batch_size,
            "minibatch_size": minibatch_size or self.find_minibatch_size(ranks.size, batch_size),
            "shuffle": shuffle,
            "val_size": val_size,
            "val_interval": val_interval,
            "autocast": autocast,
            "checkpoint_interval": checkpoint_interval,
            "correlation_interval": correlation_interval,
            "save_dir": save_dir,
            "dataloader_kwargs": dataloader_kwargs or {},
        }
        if ranks.rank == 0:
            check_folders("logs", *([save_dir] if checkpoint_interval else []))
        state = self._train(exogym, ranks, strategy, settings, self._more | kwargs)
        ranks.average(filter(_is_tensor, state.values()))
        trained = copy.deepcopy(self.model_orig)
        trained.load_state_dict(state)
        return trained

    def _train(
        self, exogym: ExoGym, ranks: ModelExchange, strategy: Any, settings: dict[str, Any], more: dict[str, Any]
    ) -> dict[str, Any]:
        """Run ExoGym's loop on this rank; returns the state of its model."""
        device = self._device(ranks.rank, more)
        model = copy.deepcopy(self.model_orig).to(device)
        self._begin_alike(ranks, model, settings)
        more["run_name"] = _common_name(ranks, more.get("run_name"))
        with kept_random_numbers():
            self.config = self._config(exogym, ranks, model, device, copy.deepcopy(strategy), settings, more)
            self.config.strategy._init_node(model, ranks.rank, ranks.size)
            _say_steps(self.config.strategy)
            with without_broadcast(exogym.node):
                node = exogym.node(config=self.config)
            state: dict[str, Any] = node.train()
            _close_bar(node)
        return state

    def find_minibatch_size(self, num_nodes: int, batch_size: int, force_recalculate: bool = False) -> int:
        """The whole batch: ExoGym's probe would use all the memory of the machine, which nodes share."""
        return batch_size

    def clear_minibatch_cache(self) -> None:
        """Do nothing: no size is probed."""

    def _device(self, rank: int, more: dict[str, Any]) -> Any:
        """The device of this rank. Raises UnavailableError, InputError."""
        wanted = str(more.get("device", self.device) or "auto")
        if wanted.partition(":")[0] not in DEVICES:
            raise InputError(f"device={wanted!r}: ExoGym's nodes here compute on cpu or cuda")
        devices = more.get("devices", self.devices)
        return find_device(wanted.partition(":")[0], "gloo", rank, devices or _numbered(wanted))

    def _begin_alike(self, ranks: ModelExchange, model: Any, settings: dict[str, Any]) -> None:
        """Check that all ranks have the same data and arguments, and give them rank 0's model if theirs differ.

        ExoGym makes model and data once; here every node does.
        """
        shapes = [(name, tuple(one.shape), one.dtype) for name, one in model.state_dict().items() if _is_tensor(one)]
        tensors = [one for one in model.state_dict().values() if _is_tensor(one)]
        parts = {"model's shape": repr(shapes).encode(), "fit's arguments": alike(settings).encode()}
        for name, dataset in (("train_dataset", self.train_dataset), ("val_dataset", self.val_dataset)):
            parts[name] = b"made for each rank" if callable(dataset) else outline(dataset)
        parts[_VALUES] = values(tensors)
        differ = ranks.differing(parts)
        if wrong := [name for name in differ if name != _VALUES]:
            raise InputError(
                f"not the same on all nodes: {', '.join(wrong)}. Each node runs the script: set a seed where it draws "
                "at random (torch.manual_seed(0) before random_split), or use a factory if data shall differ by rank"
            )
        if differ:
            ranks.copy_from_first(tensors)

    def _config(
        self,
        exogym: ExoGym,
        ranks: ModelExchange,
        model: Any,
        device: Any,
        strategy: Any,
        settings: dict[str, Any],
        more: dict[str, Any],
    ) -> Any:
        known = {field.name for field in dataclasses.fields(exogym.config)}
        fields = settings | {key: value for key, value in more.items() if key in known}
        rest = {key: value for key, value in more.items() if key not in known}
        fields |= {
            "model": model,
            "train_dataset": self.train_dataset,
            "val_dataset": self.val_dataset,
            "strategy": strategy,
            "num_nodes": ranks.size,
            "rank": ranks.rank,
            "device": device,
            "devices": None,
            "port": int(os.environ["MASTER_PORT"]),
            "kwargs": rest,
        }
        config = exogym.config(**{key: value for key, value in fields.items() if key in known})
        for key in _FROM_KEYWORDS:
            if not hasattr(config, key):
                setattr(config, key, rest.get(key))
        return config


def _ranks(num_nodes: int | None) -> ModelExchange:
    """All ranks of the job. Raises InputError where the script asks for another number of nodes."""
    ranks = ModelExchange(os.environ)
    if num_nodes not in (None, ranks.size):
        raise InputError(
            f"fit(num_nodes={num_nodes}) on {ranks.size} nodes: start the script with "
            f"`harness run --nodes {num_nodes}`, or leave num_nodes out"
        )
    return ranks


def _numbered(device: str) -> list[int] | None:
    """The GPU of ``cuda:1``."""
    number = device.partition(":")[2]
    return [int(number)] if number.isdecimal() else None


def _common_name(ranks: ModelExchange, own: str | None) -> str:
    """Rank 0's name of the run."""
    name = ranks.from_first(own or time.strftime("%Y%m%d_%H%M%S", time.localtime(time.time())))
    if own and name != own:
        warnings.warn(
            f"run_name is {own!r} on rank {ranks.rank} and {name!r} on rank 0, whose logs/{name} has the CSV files; "
            "a name that depends on the time of day differs from node to node",
            stacklevel=4,  # the line that calls fit
        )
    return name


def check_folders(*folders: str) -> None:
    """Raise InputError if ExoGym cannot write its files to these folders; it would notice only later."""
    for folder in map(Path, folders):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            writable = os.access(folder, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            raise InputError(
                f"{folder.absolute()} cannot be written by user {os.getuid()}, and ExoGym writes its files there: "
                f"'chown {os.getuid()} FOLDER' for the folder on the host, or start the script in one that this user "
                "may write to (cd /tmp)"
            )


def _say_steps(strategy: Any) -> None:
    """Report each step, for scenarios that follow the job's steps; ExoGym's loop calls strategy.step once per step."""
    own, numbers = strategy.step, itertools.count(1)

    def step(*arguments: Any, **keywords: Any) -> Any:
        done = own(*arguments, **keywords)
        metrics.step(next(numbers))
        return done

    strategy.step = step


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "dtype")


def _close_bar(node: Any) -> None:
    """Close its progress bar, so that another fit does not print below it."""
    bar = getattr(getattr(node, "logger", None), "pbar", None)
    if bar is not None:
        bar.close()

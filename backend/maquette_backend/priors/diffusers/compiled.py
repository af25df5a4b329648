"""A network through ``torch.compile``, as long as that works here and nobody has put anything into the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from maquette_backend.priors.notices import Notices


class CompiledNetwork:
    """Is called as the network is.

    With adapters in it (VSD, CG-LoRA) the network itself runs: they come and go, learn on a tape, and compiled code does
    not look for hooks that were not there when it was made.
    """

    def __init__(self, network: nn.Module, backend: str, name: str, notices: Notices) -> None:
        """``backend``: one of ``torch.compile``'s. ``name``: of the model, for the notice where it does not work."""
        self._network = network
        self._backend = backend
        self._name = name
        self._notices = notices
        self._compiled: Any = None
        self._works = True
        self._modules = list(network.modules())
        self._processors = [(one, one.processor) for one in self._modules if hasattr(one, "processor")]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compiled at the first call; where that fails the network itself runs, and it is said once."""
        if not self._works or not self._is_as_made():
            return self._network(*args, **kwargs)
        try:
            return self._run(*args, **kwargs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a compiler fails in any way
            reason = str(error).strip().partition("\n")[0][:100] or type(error).__name__
        self._works, self._compiled = False, None
        self._notices.say(f"torch.compile does not work here for the network of {self._name}, which runs without: {reason}")
        return self._network(*args, **kwargs)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if self._compiled is None:
            self._compiled = torch.compile(self._network, backend=self._backend)
        return self._compiled(*args, **kwargs)

    def _is_as_made(self) -> bool:
        """Whether nothing was put in since."""
        if any(one._forward_hooks or one._forward_pre_hooks for one in self._modules):
            return False
        return all(one.processor is processor for one, processor in self._processors)

"""puffer-backend-torch: PyTorch as an engine of Puffer."""

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_backend_torch.modules.policy import ModulePolicy

__all__ = ["ModulePolicy"]

__getattr__ = lazy_names(__name__, {"ModulePolicy": "puffer_backend_torch.modules.policy"})

"""Options of the torch backend."""

import pytest
from pydantic import ValidationError

from puffer_backend_torch.config import TorchConfig


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:3", "mps"])
def test_takes_the_names_of_devices(device):
    assert TorchConfig(device=device).device == device


@pytest.mark.parametrize(
    "options",
    [{"device": "gpu"}, {"device": "cuda:"}, {"threads": 0}, {"threads": "all"}, {"compile": "perhaps"}, {"thread": 1}],
)
def test_refuses_what_it_cannot_mean(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        TorchConfig(**options)

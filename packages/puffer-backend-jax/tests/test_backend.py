"""The JAX backend against the contract, and what is JAX's own."""

import pytest

from puffer_testing.backend import BackendConformance


class TestJax(BackendConformance):
    name = "jax"
    options = {"device": "cpu"}

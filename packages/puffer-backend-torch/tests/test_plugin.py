"""The plugin module: found, light, and true to its word."""

import subprocess
import sys

from puffer_backend_torch import plugin
from puffer_core.plugins import PluginHost
from puffer_core.specs import import_target


def test_the_entry_point_provides_the_backend():
    provided = PluginHost.discover(third_party=True).find("backend", "torch")
    assert provided.distribution == "puffer-backend-torch"


def test_targets_exist():
    (spec,) = plugin.puffer_backends()
    assert import_target(spec.target).name == spec.name
    assert import_target(spec.config)().device == "auto"


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys, puffer_backend_torch.plugin;"
        "sys.exit(','.join({'torch', 'numpy', 'pydantic', 'jaxtyping'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""

"""The fork server: what workers inherit, what survives what, and what never happens to the main process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import ResourceError
from puffer_core.vector import forkserver
from puffer_core.vector.forkserver import fork_server
from puffer_testing.processes import is_alive, within

SURROUNDED = """
import os, threading
import gymnasium, numpy as np

{before}

class Env(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {{}}

    def step(self, action):
        said = {{"cwd": os.getcwd(), "variable": os.environ.get("PUFFER_TEST_VARIABLE"),
                "omp": os.environ["OMP_NUM_THREADS"], "stdin": os.read(0, 1).decode(),
                "parent": os.getppid(), "session": os.getsid(0),
                "group": os.getpgid(0), "threads": threading.active_count()}}
        return np.zeros(1, np.float32), 0.0, False, False, said
"""


def said_in_a_worker(make_env: Any, target: str) -> dict[str, Any]:
    env = make_env(target, num_envs=1, workers=1)
    env.bind(EnvBuffers.allocate(env.spec, 2, env.allocate))
    env.reset(0)
    [(_, said)] = env.step(np.zeros(1, np.int64), 1)
    return {**said, "pid": env.pids[0]}


def module(place: Path, name: str, before: str = "") -> str:
    (place / f"{name}.py").write_text(SURROUNDED.format(before=before))
    return f"{name}:Env"


def test_workers_have_the_surroundings_of_the_main_process(
    make_env: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork_server("process_envs")  # is running already
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PUFFER_TEST_VARIABLE", "now")
    monkeypatch.chdir(tmp_path)
    said = said_in_a_worker(make_env, module(tmp_path, "surrounded_env"))
    assert (said["cwd"], said["variable"], said["omp"], said["stdin"]) == (str(tmp_path), "now", "1", "")
    assert said["parent"] == fork_server("surrounded_env").pid
    assert said["group"] == said["pid"], "what it starts dies with it"
    assert said["session"] != os.getsid(0), "signals to the main process's group do not reach it"


@pytest.mark.parametrize(
    "before",
    ["threading.Thread(target=threading.Event().wait, daemon=True).start()", "os._exit"],
    ids=["starts a thread", "ends the process"],
)
def test_a_module_that_the_server_cannot_have_is_imported_by_each_worker(
    make_env: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    server = fork_server("process_envs")
    if "_exit" in before:
        before = f"os.getppid() == {os.getpid()} and os._exit(3)"
    target = module(tmp_path, f"awkward_env_{'_exit' in before}".lower(), before)
    said = said_in_a_worker(make_env, target)
    assert said["threads"] == (2 if "Thread" in before else 1)
    assert said["parent"] != server.pid
    assert server.alive == ("Thread" in before), "workers that others have must not suffer"
    fork_server("process_envs").close()
    assert fork_server("process_envs").pid != server.pid, "one with threads forks no more"


def test_signals_to_end_do_not_reach_workers_before_the_main_process(make_env: Any) -> None:
    env = make_env("Walk", workers=2, isolate=True)
    env.bind(EnvBuffers.allocate(env.spec, 3, env.allocate))
    env.reset(0)
    for pid in [*env.pids, fork_server("process_envs").pid]:
        for signum in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, signum)
    env.step(np.zeros(4, np.int64), 1)
    assert env.metrics()["env/restarts"] == 0.0
    assert all(map(is_alive, env.pids))


UNGUARDED = """
import sys
import numpy as np
{first}
from puffer_core.contracts.env import EnvBuffers
from puffer_core.plan import VectorConfig
from puffer_core.plugins import Provided
from puffer_core.vector import make_vector_env
from puffer_core.vector.gymnasium import make, resolve

print("started")
vector = VectorConfig(mode="process", workers=1, num_envs=2)
env = make_vector_env(Provided(resolve("CartPole-v1"), "", ""), make, {{}}, vector)
env.bind(EnvBuffers.allocate(env.spec, 2, env.allocate))
env.reset(0)
env.step(np.zeros(2, np.int64), 1)
print("stepped", *env.pids)
{last}
"""


def run_program(
    place: Path, first: str = "", last: str = "env.close()", **variables: str
) -> subprocess.CompletedProcess[str]:
    script = place / "train.py"
    script.write_text(UNGUARDED.format(first=first, last=last))
    return subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **variables},
    )


def test_a_program_needs_no_guard(tmp_path: Path) -> None:
    done = run_program(tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["started", "stepped"], "it ran once"
    assert done.stderr == ""


@pytest.mark.parametrize("last", ["", "raise SystemExit(4)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_program_that_ends_without_closing_leaves_no_worker(tmp_path: Path, last: str) -> None:
    done = run_program(tmp_path, last=last)
    pids = [int(pid) for pid in done.stdout.splitlines()[1].split()[1:]]
    assert done.stderr == ""
    within(10.0, lambda: not any(map(is_alive, pids)))


FORKS = """
if os.fork() == 0:
    {child}
    sys.exit()  # which closes what the parent has open
assert os.wait()[1] == 0
env.step(np.zeros(2, np.int64), 1)
print("restarts", env.metrics()["env/restarts"])
env.close()
"""


@pytest.mark.parametrize("child", ["pass", "env.close()"])
def test_a_program_that_forks_keeps_its_workers(tmp_path: Path, child: str) -> None:
    done = run_program(tmp_path, first="import os", last=FORKS.format(child=child))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "restarts 0.0"


def test_a_fork_is_free_of_locks_and_has_a_server_of_its_own() -> None:
    parents = fork_server("process_envs")
    with forkserver._starting:  # as a thread holds it while a server starts
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.alarm(60)
                own = fork_server("process_envs")
                code = int(own.pid == parents.pid)
                own.close()
            finally:
                os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert parents.alive


LACKING = """
import os
for name in ("memfd_create", "waitid"):
    delattr(os, name)
"""


def test_it_works_where_linux_has_more(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(LACKING)
    last = "import signal; os.kill(env.pids[0], signal.SIGKILL); env.step(np.zeros(2, np.int64), 1); env.close()"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = run_program(tmp_path, "import os; assert not hasattr(os, 'waitid')", last, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "was killed by SIGKILL in step; it is replaced" in done.stderr


def test_an_interrupted_request_does_not_answer_the_next(
    make_env: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = f"import signal, time; os.getppid() == {os.getpid()} and os.kill({os.getpid()}, signal.SIGINT)"
    with pytest.raises(KeyboardInterrupt):
        fork_server(module(tmp_path, "interrupting_env", f"{before}; time.sleep(0.1)").partition(":")[0])
    env = make_env("Walk", workers=1)
    env.bind(EnvBuffers.allocate(env.spec, 3, env.allocate))
    env.reset(0)
    assert is_alive(env.pids[0])
    assert fork_server("interrupting_env").pid == fork_server("process_envs").pid


def test_where_no_process_can_be_forked_others_keep_theirs(
    make_env: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    other = make_env("Walk", workers=1)
    before = f"""
def fork(real=os.fork):
    os.fork = real
    raise BlockingIOError(11, "Resource temporarily unavailable")

if os.getppid() == {os.getpid()}:
    os.fork = fork
"""
    target = module(tmp_path, "crowding_env", before)
    try:
        with pytest.raises(ResourceError, match=r"a worker cannot be started: .*Resource temporarily unavailable"):
            make_env(target, workers=1)
        assert all(map(is_alive, other.pids))
    finally:
        other.close()
        fork_server("process_envs").close()


def test_a_search_path_may_hold_what_import_passes_over(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/nowhere")])
    make_env("Walk", workers=1)


def test_nobody_else_is_asked_for_the_stack_of_a_worker_that_is_gone(make_env: Any) -> None:
    env = make_env("Walk", workers=1)
    process = env._crew.members[0].process
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        own, process.pid = process.pid, stranger.pid  # as if the number had been given again
        assert process.stack() == ""
        process.pid = own
        assert stranger.stdin is not None
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_it_starts_after_torch_has_threads(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    first = "import torch; torch.set_num_threads(2); (torch.ones(600, 600) @ torch.ones(600, 600)).sum()"
    done = run_program(tmp_path, first=first)
    assert done.returncode == 0, done.stderr
    assert "stepped" in done.stdout

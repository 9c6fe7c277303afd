"""NativeEnv: the base class of an env written in plain Python and stepped at compiled speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import gymnasium
import numpy as np

from puffer_core.errors import UsageError, did_you_mean
from puffer_env_native.fields import Field, Int32, UInt64, constants_of, elements, fields_of

if TYPE_CHECKING:
    from puffer_env_native.batch import NativeVectorEnv

_VARIANTS: dict[Any, Any] = {}
"""Classes with other constants than they were written with, by class and constants."""

_States: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]

_HALF = np.uint64(33)
_MASK = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B97F4A7C15


class NativeEnv:
    """One environment: a record of numbers and arrays, and three functions on it.

    A subclass annotates its fields and defines `reset`, `step` and `observe` in plain Python: numbers, `math`,
    branches, loops, tuples, its own methods, functions of its module. An instance is one env that runs as it
    is written; `batch` gives a vector env that runs the same source compiled by Numba, over every row in place.

    A field without a value is state. A field with one is an option of the env: `CartPole.batch(8, gravity=3.7)`.
    Writing a field rounds to its type; everything between is float64 and int64. `walls = Array(UInt8, 8, 8)` declares
    an array; an option that shapes arrays or spaces is a `Constant`, and `derive` says what follows from it.

    The time limit belongs to the machinery: `step` says only whether the episode ended in a terminal state.
    An env with a method `action_mask(self, out)` gives action masks: it writes whether each choice is valid now.
    One with a method `render(self)` gives pictures: uint8 `[height, width, 3]`; it is never compiled.

    Example:
        >>> from puffer_env_native.cartpole import CartPole
        >>> env = CartPole(seed=1)
        >>> env.reset()
        >>> env.step(1)
        (1.0, False)
        >>> len(env.observe())
        4
        >>> CartPole.batch(8, max_episode_steps=100).spec.rows
        8
    """

    observation_space: ClassVar[gymnasium.Space[Any]]
    """What `observe` gives, as one value or a tuple: a Box, Discrete, MultiDiscrete or MultiBinary."""
    action_space: ClassVar[gymnasium.Space[Any]]
    """What `step` takes: an int for Discrete, otherwise a tuple of the action's elements."""

    FIELDS: ClassVar[tuple[Field, ...]] = ()
    """Every field, in storage order; filled in for each subclass."""
    CONSTANTS: ClassVar[tuple[str, ...]] = ()
    """Names of the options that are compiled in; filled in for each subclass."""

    max_episode_steps: int = 0
    """Steps after which an episode is truncated; `batch` takes another. 0: never."""
    random_state: UInt64
    """The env's own stream of random numbers (splitmix64)."""
    elapsed: Int32
    """Steps of this episode, the current one not counted while `step` runs."""

    def __init_subclass__(cls) -> None:
        cls.CONSTANTS = constants_of(cls)
        cls.derive()
        cls.FIELDS = fields_of(cls)
        cls._BY_NAME = {field.name: field for field in cls.FIELDS}

    _BY_NAME: ClassVar[dict[str, Field]] = {}

    @classmethod
    def derive(cls) -> None:
        """Set the spaces, limit and other attributes of the class that follow from its constants."""

    def __new__(cls, seed: int = 0, **options: float) -> Self:  # noqa: ARG004 - `__init__` takes the same
        return object.__new__(cls.variant(options))

    def __init__(self, seed: int = 0, **options: float) -> None:
        values = self.options(options)
        for field in self.FIELDS:
            if field.shape:
                self.__dict__[field.name] = elements(np.zeros(field.shape, field.dtype))
            else:
                setattr(self, field.name, values.get(field.name, 0))
        self.random_state = int(random_states(seed, 1)[0])

    def __setattr__(self, name: str, value: float) -> None:
        field, where = self._BY_NAME.get(name), f"{type(self).__name__}.{name}"
        if field is None:
            raise AttributeError(f"{type(self).__name__} declares no field {name!r}: annotate it, `{name}: float`")
        if field.shape:
            raise AttributeError(f"{where} is an array: a step writes its elements, `self.{name}[i] = ...`")
        if field.is_option and name in self.__dict__:
            raise AttributeError(f"{where} is an option: a step can't write it")
        object.__setattr__(self, name, field.stored(value))

    def reset(self) -> None:
        """Start an episode: write the fields. `elapsed` is 0 and the random stream goes on."""
        raise NotImplementedError

    def step(self, action: Any) -> tuple[float, bool]:
        """Act: write the fields and return `(reward, terminated)`."""
        raise NotImplementedError

    def observe(self, *args: Any, **kwargs: Any) -> Any:
        """What the agent sees now: `observe(self)` returns it, `observe(self, out)` writes it.

        Returned, it is a number, or a tuple in the order of the observation space's elements. `out` is an array of the
        observation space's shape and dtype; every element has to be written, `out[row, column, channel] = ...`.
        """
        raise NotImplementedError

    def random_bits(self) -> int:
        """64 random bits (splitmix64: Steele, Lea and Flood 2014)."""
        self.random_state = (self.random_state + _GOLDEN) & _MASK
        bits = self.random_state
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
        return bits ^ (bits >> 31)

    def uniform(self, low: float, high: float) -> float:
        """A random number, uniform in [low, high), on a grid of 2**-53 of the range."""
        return low + (high - low) * ((self.random_bits() >> 11) * 1.1102230246251565e-16)

    def integer(self, low: int, high: int) -> int:
        """A random integer in low..high-1; even but for a bias of (high - low) / 2**53."""
        return low + int((self.random_bits() >> 11) * 1.1102230246251565e-16 * (high - low))

    @classmethod
    def variant(cls, options: dict[str, float]) -> type[Self]:
        """The class with the constants that `options` asks for: always the same class for the same values.

        Raises:
            UsageError: a constant that is no integer, or one that the env cannot have.
        """
        changed = {
            name: options[name] for name in cls.CONSTANTS if options.get(name, getattr(cls, name)) != getattr(cls, name)
        }
        for name, value in changed.items():
            if not isinstance(value, (int, np.integer, np.bool_)):
                raise UsageError(f"env.{name}: got {value!r}, expected an integer ({cls.__name__})")
        changed = {name: int(value) for name, value in changed.items()}
        key = (cls, *sorted(changed.items()))
        if changed and key not in _VARIANTS:
            named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
            try:
                _VARIANTS[key] = type(cls.__name__, (cls,), {**named, **changed})
            except (ValueError, AssertionError) as error:  # what Gymnasium says of a space that cannot be
                raise UsageError(f"{cls.__name__} cannot be made with {changed}: {error}") from error
        return _VARIANTS[key] if changed else cls

    @classmethod
    def options(cls, given: dict[str, float]) -> dict[str, float]:
        """The values of the class's options: the defaults, and over them those given.

        Raises:
            UsageError: an option that the env does not have, or a value that is no number.
        """
        values = {field.name: field.default for field in cls.FIELDS if field.default is not None}
        values |= {name: getattr(cls, name) for name in cls.CONSTANTS}
        for name, value in given.items():
            if name not in values:
                raise UsageError(f"{cls.__name__} has no option {name!r}", remedy=did_you_mean(name, values))
            if not isinstance(value, (bool, int, float, np.number, np.bool_)):
                raise UsageError(f"env.{name}: got {value!r}, expected a number ({cls.__name__})")
        return {**values, **given}

    @classmethod
    def batch(
        cls,
        num_envs: int,
        *,
        max_episode_steps: int | None = None,
        threads: int = 0,
        compiled: bool = True,
        **options: float,
    ) -> NativeVectorEnv:
        """A vector env of this class; what an `EnvSpec` with interface `"vector"` names as its target.

        Args:
            num_envs: rows, >= 1.
            max_episode_steps: instead of the class's; 0 for no limit.
            threads: that share the rows of a step. 0: one, and more where rows are many enough to gain by it.
                Results do not depend on it.
            compiled: False runs the source as it is written, some hundred times slower: for debugging.
            options: values of fields that have a default, and of constants.

        Raises:
            UsageError: no rows, a negative limit or number of threads, or an unknown option.
        """
        from puffer_env_native.batch import NativeVectorEnv

        limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
        made = cls.variant(options)
        return NativeVectorEnv(
            made, num_envs, threads=threads, compiled=compiled, options=made.options({**options, **limit})
        )


def random_states(seed: int, count: int, start: int = 0) -> _States:
    """First state of each env's random stream, `[count]`; element `i` depends on `(seed, start + i)` alone.

    Raises:
        UsageError: a negative seed.
    """
    if seed < 0:
        raise UsageError(f"seed is {seed}, expected an integer >= 0")
    first = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    state: _States = np.uint64(first) + np.arange(start, start + count, dtype=np.uint64)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):  # MurmurHash3's finaliser
        state = (state ^ (state >> _HALF)) * np.uint64(factor)
    return state ^ (state >> _HALF)

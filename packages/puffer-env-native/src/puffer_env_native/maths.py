"""Sine and cosine without branches or tables, so that LLVM computes several rows at once.

Compiled envs get these in place of `math.sin` and `math.cos`. Cody and Waite's reduction by pi/2 in three parts
of 33 bits, then the polynomials of fdlibm's `k_sin.c` and `k_cos.c`. The error is at most 2 ulp (float64) of the
larger of the result and 1e-16 up to |x| = 2**20; beyond, it grows with |x| to 1e-7 at 1e9.
"""

from __future__ import annotations

_ROUND = 6755399441055744.0
"""1.5 * 2**52: adding and subtracting it rounds to an integer."""
_TWO_OVER_PI = 0.6366197723675814
_HALF_PI_1 = 1.57079632673412561417e00
_HALF_PI_2 = 6.07710050630396597660e-11
_HALF_PI_3 = 2.02226624879595063154e-21


def _polynomials(x: float) -> tuple[float, float, float]:
    """Sine and cosine of `x` reduced to [-pi/4, pi/4], and the quadrant it came from, in -2..2."""
    turns = (x * _TWO_OVER_PI + _ROUND) - _ROUND
    r = ((x - turns * _HALF_PI_1) - turns * _HALF_PI_2) - turns * _HALF_PI_3
    z = r * r
    sine = -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10
    sine = 8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * (2.75573137070700676789e-06 + z * sine))
    cosine = 2.08757232129817482790e-09 + z * -1.13596475577881948265e-11
    cosine = 2.48015872894767294178e-05 + z * (-2.75573143513906633035e-07 + z * cosine)
    cosine = 4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * cosine)
    quadrant = turns - 4.0 * ((turns * 0.25 + _ROUND) - _ROUND)
    half = 0.5 * z
    one = 1.0 - half
    return (
        r + r * z * (-1.66666666666666324348e-01 + z * sine),
        one + (((1.0 - one) - half) + z * z * cosine),
        quadrant,
    )


def sin(x: float) -> float:
    """Sine of `x` radians.

    Example:
        >>> import math
        >>> abs(sin(100.0) - math.sin(100.0)) < 1e-15
        True
    """
    sine, cosine, quadrant = _polynomials(x)
    value = cosine if abs(quadrant) == 1.0 else sine
    return -value if quadrant < 0.0 or quadrant == 2.0 else value


def cos(x: float) -> float:
    """Cosine of `x` radians.

    Example:
        >>> import math
        >>> abs(cos(100.0) - math.cos(100.0)) < 1e-15
        True
    """
    sine, cosine, quadrant = _polynomials(x)
    value = sine if abs(quadrant) == 1.0 else cosine
    return -value if quadrant == 1.0 or abs(quadrant) == 2.0 else value

"""Exponentials and logarithms of vectors, as code.

The C library's take one number at a time, and most of the time of a closed-form part went there. These are the usual
ones: a reduction by powers of two and a polynomial, after fdlibm (Sun Microsystems 1993, ``e_log.c``). They are
accurate to a few units in the last place (`pow` to some more), with the limits of the C library: infinities, 0, NaN and
denormal numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from pymc_lan.networks.kernel.layout import LANES
from pymc_lan.networks.kernel.llvm import F64, I64, Code

DOUBLES, _INTEGERS = ir.VectorType(F64, LANES), ir.VectorType(I64, LANES)

# Of log 2, 33 bits, whose product with an exponent is exact, and the rest.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# Added to a number, it leaves the nearest integer in the last bits.
_ROUNDS = 6755399441055744.0  # 1.5 * 2**52
# Where exp is infinite, and 0.
_MOST, _LEAST = 710.0, -746.0
# exp of half of log 2 needs this many terms for double precision.
_TERMS = 13
# (log(1 + f) - f + f**2 / 2 - ...) in powers of (f / (2 + f))**2, from e_log.c.
_LOG_TERMS = (
    *(6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01),
    *(1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01),
)
# The smallest normal number, and what makes a denormal one normal.
_NORMAL, _SHIFT = 2.0**-1022, 54
_ONE = 0x3FF0000000000000
# From the bits of sqrt(1/2), about which mantissas are taken, to those of 1.
_MIDDLE = _ONE - 0x3FE6A09E00000000


def _number(x: float) -> Any:
    return ir.Constant(DOUBLES, [x] * LANES)


def _integer(x: int) -> Any:
    return ir.Constant(_INTEGERS, [x] * LANES)


def _bits(x: float) -> int:
    return int(np.float64(x).view(np.int64))


def _polynomial(code: Code, x: Any, terms: tuple[float, ...]) -> Any:
    """``terms[0] + terms[1] x + ...``."""
    total = _number(terms[-1])
    for term in reversed(terms[:-1]):
        total = code.multiply_add(total, x, _number(term))
    return total


def _power_of_two(code: Code, exponent: Any) -> Any:
    shifted = code.ir.shl(code.ir.add(exponent, _integer(1023)), _integer(52))
    return code.ir.bitcast(shifted, DOUBLES)


def _exp(code: Code, x: Any) -> Any:
    within = code.intrinsic("maximum", code.intrinsic("minimum", x, _number(_MOST)), _number(_LEAST))
    rounded = code.multiply_add(within, _number(1 / math.log(2)), _number(_ROUNDS))
    twos = code.ir.fsub(rounded, _number(_ROUNDS))
    exponent = code.ir.sub(code.ir.bitcast(rounded, _INTEGERS), _integer(_bits(_ROUNDS)))
    rest = code.multiply_add(twos, _number(-_LN2_HIGH), within)
    rest = code.multiply_add(twos, _number(-_LN2_LOW), rest)
    result = _polynomial(code, rest, tuple(1 / math.factorial(k) for k in range(_TERMS + 1)))
    # In two steps, so that results that are infinite or denormal come about by themselves.
    half = code.ir.sub(code.ir.lshr(code.ir.add(exponent, _integer(2048)), _integer(1)), _integer(1024))
    for part in (half, code.ir.sub(exponent, half)):
        result = code.ir.fmul(result, _power_of_two(code, part))
    return result


def _log(code: Code, x: Any) -> Any:
    small = code.ir.fcmp_ordered("<", x, _number(_NORMAL))
    normal = code.ir.select(small, code.ir.fmul(x, _number(2.0**_SHIFT)), x)
    bits = code.ir.bitcast(normal, _INTEGERS)
    raised = code.ir.add(bits, _integer(_MIDDLE))
    exponent = code.ir.sub(code.ir.lshr(raised, _integer(52)), _integer(1023))
    above_one = code.ir.sub(code.ir.and_(raised, _integer(_bits(-math.inf))), _integer(_ONE))
    f = code.ir.fsub(code.ir.bitcast(code.ir.sub(bits, above_one), DOUBLES), _number(1.0))
    shift = code.ir.select(small, _integer(_SHIFT), _integer(0))
    as_number = code.ir.bitcast(code.ir.add(code.ir.sub(exponent, shift), _integer(_bits(_ROUNDS))), DOUBLES)
    twos = code.ir.fsub(as_number, _number(_ROUNDS))
    s = code.ir.fdiv(f, code.ir.fadd(f, _number(2.0)))
    z = code.ir.fmul(s, s)
    half_square = code.ir.fmul(code.ir.fmul(f, f), _number(0.5))
    series = code.multiply_add(z, _polynomial(code, z, _LOG_TERMS), half_square)
    low = code.multiply_add(s, series, code.ir.fmul(twos, _number(_LN2_LOW)))
    value = code.ir.fsub(code.ir.fmul(twos, _number(_LN2_HIGH)), code.ir.fsub(code.ir.fsub(half_square, low), f))
    # Infinity and NaN are their own logarithms.
    value = code.ir.select(code.ir.fcmp_ordered("<", x, _number(math.inf)), value, x)
    zero = code.ir.fcmp_ordered("==", x, _number(0.0))
    none = code.ir.select(zero, _number(-math.inf), _number(math.nan))
    return code.ir.select(code.ir.fcmp_ordered(">", x, _number(0.0)), value, none)


def _log1p(code: Code, x: Any) -> Any:
    """The logarithm of ``u = 1 + x``, and what rounding took from u."""
    u = code.ir.fadd(x, _number(1.0))
    lost = code.ir.fdiv(code.ir.fsub(x, code.ir.fsub(u, _number(1.0))), u)
    log = call(code, "log", u)
    ends = code.ir.or_(code.ir.fcmp_ordered("==", u, _number(0.0)), code.ir.fcmp_unordered(">=", u, _number(math.inf)))
    value = code.ir.select(ends, log, code.ir.fadd(log, lost))
    # Of what is too small to change 1 nothing is left of u but its sign, which 0 has.
    return code.ir.select(code.ir.fcmp_ordered("==", u, _number(1.0)), x, value)


def _expm1(code: Code, x: Any) -> Any:
    """Kahan's: ``(u - 1) x / log(u)`` for ``u = exp(x)``, in which rounding of u cancels."""
    u = call(code, "exp", x)
    less = code.ir.fsub(u, _number(1.0))
    value = code.ir.fmul(less, code.ir.fdiv(x, call(code, "log", u)))
    ends = code.ir.or_(
        code.ir.fcmp_ordered("==", less, _number(-1.0)), code.ir.fcmp_unordered("==", u, _number(math.inf))
    )
    return code.ir.select(code.ir.fcmp_ordered("==", u, _number(1.0)), x, code.ir.select(ends, less, value))


def _pow(code: Code, x: Any, y: Any) -> Any:
    """``exp(y log x)``, whose relative error is as many units as y log x is large."""
    value = call(code, "exp", code.ir.fmul(y, call(code, "log", code.intrinsic("fabs", x))))
    half = code.ir.fmul(y, _number(0.5))
    whole, even = (code.ir.fcmp_ordered("==", z, code.intrinsic("rint", z)) for z in (y, half))
    signed = code.ir.select(even, value, code.ir.select(whole, code.ir.fneg(value), _number(math.nan)))
    value = code.ir.select(code.ir.fcmp_ordered("<", x, _number(0.0)), signed, value)
    ones = code.ir.or_(code.ir.fcmp_ordered("==", y, _number(0.0)), code.ir.fcmp_ordered("==", x, _number(1.0)))
    return code.ir.select(ones, _number(1.0), value)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": _exp,
    "log": _log,
    "log1p": _log1p,
    "expm1": _expm1,
    "pow": _pow,
}
"""Builders of the functions, by the name that JAX has for them."""


def call(code: Code, name: str, *xs: Any) -> Any:
    """Call a function of `FUNCTIONS`, which is built once in a module."""
    own = f"vector.{name}"
    if own not in code.module.globals:
        function = Code(code.module, own, [DOUBLES] * len(xs), result=DOUBLES)
        function.function.attributes.add("noinline")
        function.ir.ret(FUNCTIONS[name](function, *function.arguments))
    return code.call(own, *xs)

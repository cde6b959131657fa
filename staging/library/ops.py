"""The functions of the `lms` namespace, by the names of NumPy and the array API standard."""

from __future__ import annotations

# isort: off
from .arrays import (
    all, any, argmax, argmin, average, count_nonzero, cumsum, dot, einsum, inner, log_softmax, logsumexp, matmul, max,
    mean, min, norm, outer, prod, softmax, std, sum, tensordot, var, vdot,
)
from .creation import (
    arange, array, asarray, copy, empty, empty_like, eye, full, full_like, linspace, meshgrid, ones, ones_like, zeros,
    zeros_like,
)
from .creation import broadcast_array as broadcast_to
from .elementary import (
    abs, acos, acosh, add, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, asin, asinh, astype, atan,
    atan2, atanh, bitwise_and, bitwise_or, bitwise_xor, cbrt, ceil, clip, conj, copysign, cos, cosh, degrees, digamma,
    divide, equal, erf, erfc, exp, exp2, expm1, floor, floor_divide, fmod, greater, greater_equal, hypot, imag,
    invert, isclose, isfinite, isinf, isnan, left_shift, less, less_equal, lgamma, log, log10, log1p, log2, logaddexp,
    logical_and, logical_not, logical_or, logical_xor, maximum, minimum, multiply, negative, not_equal, positive,
    power, radians, real, reciprocal, relu, remainder, right_shift, rint, sigmoid, sign, signbit, sin, sinh, softplus, sqrt,
    square, stop_gradient, subtract, tan, tanh, trunc, where, xlog1py, xlogy,
)
from .joining import append, column_stack, concatenate, hstack, pad, split, stack, vstack
from .numeric import (
    angle, convolve, cross, cumprod, gradient, heaviside, interp, kron, median, polyval, searchsorted, select, trapezoid,
    vander,
)
from .shaping import (
    allclose, argsort, atleast_1d, bincount, diag, diagonal, diff, expand_dims, fill_diagonal, flatnonzero, flip, moveaxis,
    nonzero, ravel, repeat, reshape, roll, sort, squeeze, swapaxes, take, take_along_axis, tile, trace, transpose, tril, triu,
)
from .special import erfinv, gamma, polygamma
from .statistics import corrcoef, cov, digitize, nanmax, nanmean, nanmin, nansum, percentile, quantile
# isort: on

__all__ = [
    "abs", "acos", "acosh", "add", "all", "allclose", "angle", "any", "append", "arange", "arccos", "arccosh",
    "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argsort", "array", "asarray", "asin",
    "asinh", "astype", "atan", "atan2", "atanh", "atleast_1d", "average", "bincount", "bitwise_and", "bitwise_or",
    "bitwise_xor", "broadcast_to", "cbrt", "ceil", "clip", "column_stack", "concatenate", "conj", "convolve",
    "copy", "copysign", "corrcoef", "cos", "cosh", "count_nonzero", "cov", "cross", "cumprod", "cumsum", "degrees",
    "diag", "diagonal", "diff", "digamma", "digitize", "divide", "dot", "einsum", "empty", "empty_like", "equal",
    "erf", "erfc", "erfinv", "exp", "exp2", "expand_dims", "expm1", "eye", "fill_diagonal", "flatnonzero", "flip", "floor",
    "floor_divide", "fmod", "full", "full_like", "gamma", "gradient", "greater", "greater_equal", "heaviside", "hstack",
    "hypot", "imag", "inner", "interp", "invert", "isclose", "isfinite", "isinf", "isnan", "kron", "left_shift",
    "less", "less_equal", "lgamma", "linspace", "log", "log10", "log1p", "log2", "log_softmax", "logaddexp",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "matmul", "max", "maximum", "mean",
    "median", "meshgrid", "min", "minimum", "moveaxis", "multiply", "nanmax", "nanmean", "nanmin", "nansum",
    "negative", "nonzero", "norm", "not_equal", "ones", "ones_like", "outer", "pad", "percentile", "polygamma", "polyval",
    "positive", "power", "prod", "quantile", "radians", "ravel", "real", "reciprocal", "relu", "remainder", "repeat",
    "reshape", "right_shift", "rint", "roll", "searchsorted", "select", "sigmoid", "sign", "signbit", "sin", "sinh",
    "softmax", "softplus", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "stop_gradient",
    "subtract", "sum", "swapaxes", "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "trace",
    "transpose", "trapezoid", "tril", "triu", "trunc", "vander", "var", "vdot", "vstack", "where", "xlog1py",
    "xlogy", "zeros", "zeros_like",
]

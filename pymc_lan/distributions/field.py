"""`wishart_field`: covariances that vary over stimulus space, as a variable of a PyMC model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.logprob.transforms import Transform
from pymc.model.core import modelcontext
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lan.distributions.values import as_numbers, known_numbers
from pymc_lan.errors import check_count, check_length, explain, is_real, refuse
from pymc_lan.numerics.passage import LOG_SQRT_2PI
from pymc_lan.numerics.wishart import basis, covariances, log_determinants, roots, total_degrees
from pymc_lan.ops.likelihood import checked

Float = NDArray[np.float64]

# Of a stimulus; the package's tasks have one or two, a likelihood of your own may have three.
MOST_DIMENSIONS = 3
# How far a stimulus may lie outside [-1, 1] by rounding, of single precision too.
ROUNDING = 1e-6
# Where at most so large a share of the stimuli differ, each of them is evaluated once: looking up costs less.
FEW_REPEAT = 0.75
OUTSIDE = explain(
    "stimuli from -1 to 1 in every coordinate",
    "others in a variable when the model was evaluated",
    "scale coordinates to [-1, 1] before pm.set_data",
)
NOBODY = explain(
    "numbers of members in a variable, counted from 0",
    "others when the model was evaluated",
    "give pm.set_data the places of members in the model's coordinates",
)


class Standard(Transform):
    """Members' weights as standard normal deviations from their mean."""

    name = "standard"
    ndim_supp = 0

    def forward(self, value: Any, *inputs: Any) -> Any:
        """From weights to deviations."""
        mean, sd = inputs[-2:]
        return ((value - mean) / sd).astype(value.dtype)

    def backward(self, value: Any, *inputs: Any) -> Any:
        """From deviations to weights."""
        mean, sd = inputs[-2:]
        return (mean + sd * value).astype(value.dtype)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """Log of the standard deviations."""
        return (pt.log(inputs[-1]) + pt.zeros_like(value)).astype(value.dtype)


class Canonical(Transform):
    r"""Weights up to rotations of the embedding, on the scale of their prior.

    W and W Q have the same covariances for every orthogonal Q, so data say nothing about Q, and a sampler would walk in
    rings. Of each ring this keeps the one point whose first rows, those of the constant before others, are lower
    triangular with a positive diagonal: m - 1 rows of m columns, after which there is no rotation left. The lengths on
    that diagonal have chi distributions under a normal prior (Bartlett's decomposition), with the density
    :math:`l^{m - k} \exp(-l^2 / 2)` in row k; all other weights stay as they are. So the prior of the covariances is
    what it was. The last column may still change its sign: there are two mirror images of every posterior, far apart or
    in one piece, and to keep one of them would cut those in one piece in two, with no way from half to half.

    Weights of 0, their mean, where a field has no slope, stand for lengths as they are in the mean.

    Parameters
    ----------
    shape : tuple of int
        Of the weights, (degree + 1, ..., d, d + extra).
    """

    name = "canonical"
    ndim_supp = 0

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, columns = shape, shape[-1]
        place = np.arange(math.prod(shape)).reshape(-1, columns)
        first = place[: columns - 1]
        lengths = np.diagonal(first)
        none = first[np.triu_indices(len(first), 1, columns)]
        self.kept = np.concatenate([lengths, np.setdiff1d(place, np.concatenate([lengths, none]))])
        # Of each weight its place among [0, kept weights].
        self.source = np.zeros(place.size, np.int64)
        self.source[self.kept] = 1 + np.arange(len(self.kept))
        self.freedom = np.arange(columns, columns - len(lengths), -1)
        # Constants of chi distributions in place of those of the normal ones that logp has.
        self.constant = math.fsum((1 - m / 2) * math.log(2) - math.lgamma(m / 2) for m in self.freedom)
        self.constant += (len(lengths) + len(none)) * LOG_SQRT_2PI
        # Without a weight in the last column it would be a saddle between the mirror images.
        self.begin = np.where(self.kept == (place[columns - 1, -1] if len(place) >= columns else -1), 1.0, 0.0)
        self.begin[: len(lengths)] = np.log(self.freedom) / 2

    def forward(self, value: Any, *inputs: Any) -> Any:
        """From weights to logarithms of the lengths and all other weights, in standard deviations."""
        w = (value / inputs[-1]).reshape((-1, self.shape[-1]))
        n = len(self.freedom)
        for k in range(n):
            # Householder's reflection, which leaves of row k its length alone, in column k.
            row = w[k]
            away = -pt.where(pt.ge(row[k], 0), 1.0, -1.0)
            mirror = pt.set_subtensor(row[:k], 0.0)
            mirror = pt.inc_subtensor(mirror[k], -away * pt.sqrt((mirror**2).sum()))
            along = (w * mirror).sum(axis=1, keepdims=True) * mirror
            w = w - 2.0 * along / pt.maximum((mirror**2).sum(), np.finfo(np.float64).tiny)
            w = pt.set_subtensor(w[:, k], w[:, k] * away)
        kept = w.ravel()[self.kept]
        found = pt.where(pt.any(value), pt.concatenate([pt.log(kept[:n]), kept[n:]]), self.begin)
        return found.astype(value.dtype)

    def backward(self, value: Any, *inputs: Any) -> Any:
        """From logarithms of the lengths and all other weights to weights."""
        n = len(self.freedom)
        filled = pt.concatenate([pt.zeros(1, value.dtype), pt.exp(value[:n]), value[n:]])
        return (filled[self.source].reshape(self.shape) * inputs[-1]).astype(value.dtype)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """What makes of normal weights lengths with their distributions, whatever the standard deviations."""
        sd = pt.log(inputs[-1]) + np.zeros(self.shape)
        found = sd.sum() + (self.freedom * value[: len(self.freedom)]).sum() + self.constant
        return found.astype(value.dtype)


@dataclass(frozen=True, eq=False, repr=False)
class WishartField:
    """A covariance matrix at every stimulus, from weights that are a variable of a model: see `wishart_field`.

    Parameters
    ----------
    weights : TensorVariable
        Of shape (degree + 1, ..., d, d + extra), with as many axes of degrees as stimuli have dimensions; before them
        an axis of members where there are several.
    degree, d, extra : int
    variance, decay, diagonal : number or TensorVariable
    members : int, optional
        How many fields there are in it.
    """

    weights: Any
    degree: int
    d: int
    extra: int
    variance: Any
    decay: Any
    diagonal: float
    members: int | None = None

    def __repr__(self) -> str:
        several = "" if self.members is None else f", members={self.members}"
        return f"WishartField({self.weights.name!r}, degree={self.degree}, d={self.d}, extra={self.extra}{several})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weights of one field."""
        return (*(self.degree + 1,) * self.d, self.d, self.d + self.extra)

    def at(self, x: Any, member: Any = None) -> TensorVariable:
        """Covariance matrices at stimuli.

        Parameters
        ----------
        x : array_like or TensorVariable of shape (n, d)
            From -1 to 1.
        member : array_like or TensorVariable of int, shape (n,), optional
            Whose field it is at each stimulus; by default every member's.

        Returns
        -------
        TensorVariable of shape (n, d, d)
            Of a field of several members, without `member`, (members, n, d, d).

        Raises
        ------
        ValueError
            For stimuli outside of -1 to 1, missing, or of another shape; for a number that is no member's.

        Examples
        --------
        >>> import numpy as np, pymc as pm, pymc_lan as pl
        >>> with pm.Model():
        ...     field = pl.wishart_field("W", 2)
        >>> pm.draw(field.at(np.zeros((5, 2)))).shape
        (5, 2, 2)
        """
        u, place = self._roots(x, member)
        found = covariances(pt, u, self.diagonal, self.d)
        return self._shaped(found if place is None else pt.take(found, place, axis=-3), 2)

    def log_determinant(self, x: Any, member: Any = None) -> TensorVariable:
        """Logarithms of the determinants of the covariance matrices at stimuli, as `at` takes them.

        Half of it is the logarithm of an ellipse's area, up to a constant.

        Parameters
        ----------
        x, member
            As of `at`.

        Returns
        -------
        TensorVariable of shape (n,)
        """
        u, place = self._roots(x, member)
        found = log_determinants(pt, u, self.diagonal, self.d)
        return self._shaped(found if place is None else pt.take(found, place, axis=-1), 0)

    def draws(self, weights: Any, x: Any, member: int | None = None, *, group: str = "posterior") -> Float:
        """Covariance matrices at stimuli, of draws of the weights, with NumPy.

        Parameters
        ----------
        weights : DataTree, MapFit or array_like
            Draws of a model, or weights of shape (..., degree + 1, ..., d, d + extra), as psyphy has them too.
        x : array_like of shape (n, d)
        member : int, optional
            One of several.
        group : str
            Of a DataTree, as ``"prior"``.

        Returns
        -------
        ndarray of shape (..., n, d, d)
            As (chain, draw, n, d, d) of a DataTree.

        Raises
        ------
        ValueError
            As by `at`, and for weights of another shape.

        Examples
        --------
        >>> import numpy as np, pymc as pm, pymc_lan as pl
        >>> with pm.Model():
        ...     field = pl.wishart_field("W", 2)
        ...     prior = pm.sample_prior_predictive(10, random_seed=1)
        >>> field.draws(prior, np.zeros((5, 2)), group="prior").shape
        (1, 10, 5, 2, 2)
        """
        given = _weights_of(weights, self.weights.name, group)
        one = self.shape
        if member is not None:
            self._check_several()
            given = np.take(given, _check_member(member, self.members), axis=-len(one) - 1)
        if given.shape[-len(one) :] != one:
            remedy = "give them in the order of the field's own weights, or make a field of their degree"
            raise ValueError(explain(f"weights of shape (..., {', '.join(map(str, one))})", f"{given.shape}", remedy))
        before = given.shape[: -len(one)]
        phi = basis(np, self._known(x), self.degree)
        u = roots(np, phi, given.reshape(-1, phi.shape[1], *one[-2:]), one[-2:])
        return np.asarray(covariances(np, u, self.diagonal, self.d).reshape(*before, len(phi), self.d, self.d))

    def _known(self, x: Any) -> Float:
        """Stimuli as numbers, of shape (n, d)."""
        found = np.asarray(as_numbers("x", x), np.float64)
        if found.ndim == 1 and self.d == 1:
            found = found[:, None]
        self._check(found)
        return found

    def _check(self, x: Float) -> None:
        if x.ndim != 2 or x.shape[1] != self.d:
            remedy = "give a row for each stimulus, with its coordinates as columns"
            raise ValueError(explain(f"stimuli of shape (n, {self.d})", f"shape {x.shape}", remedy))
        columns = {f"x{i + 1}": x[:, i] for i in range(self.d)}
        refuse(
            ~np.isfinite(x).all(axis=1),
            columns,
            expected="a number for every coordinate of a stimulus",
            found="missing or infinite ones",
            remedy="drop these rows",
        )
        refuse(
            (np.abs(x) > 1 + ROUNDING).any(axis=1),
            columns,
            expected="stimuli from -1 to 1 in every coordinate, where the field is defined",
            found="others",
            remedy="scale coordinates to [-1, 1], the same way for all stimuli",
        )

    def _check_several(self) -> None:
        """Refuse a member of one field."""
        if self.members is None:
            remedy = "leave member out, or make fields of several with mean=... and dims=..."
            raise ValueError(explain(f"{self!r} without member, being one field", "member", remedy))

    def _roots(self, x: Any, member: Any) -> tuple[TensorVariable, NDArray[np.intp] | None]:
        """U at stimuli, of shape (n, d, d + extra), or of all members (members, n, d, d + extra).

        Where known stimuli repeat, as references do, at those that differ; and then which of them each stimulus is.
        """
        repeated = None
        if isinstance(x, Variable):
            stimuli: Any = as_numbers("x", x).astype("float64")
            if stimuli.type.ndim == 1 and self.d == 1:
                stimuli = stimuli[:, None]
            known = known_numbers(stimuli)
            if known is not None or stimuli.type.ndim != 2:
                self._check(np.empty((0,) * stimuli.type.ndim) if known is None else known)
            inside = pt.abs(stimuli) <= 1 + ROUNDING
            # JAX cannot raise: there it has no number.
            stimuli = pt.specify_shape(pt.where(inside, stimuli, np.nan), (None, self.d))
            stimuli = checked(stimuli, pt.all(inside), OUTSIDE)
            phi: Any = basis(pt, stimuli, self.degree)
        else:
            distinct, repeated = _distinct(self._known(x))
            phi = basis(np, distinct, self.degree)
        k, last = (self.degree + 1) ** self.d, self.shape[-2:]
        every = roots(pt, phi, self.weights.reshape((self.members or 1, k, *last)), last)
        if self.members is None:
            if member is not None:
                self._check_several()
            return every[0], repeated
        if member is None:
            return every, repeated
        index = _check_member(member, self.members)
        place: Any = pt.arange(phi.shape[0]) if repeated is None else repeated
        if not isinstance(phi, Variable):
            check_length("member", index, len(phi) if repeated is None else len(repeated))
        if not isinstance(index, Variable):
            return every[index, place], None
        known = pt.and_(pt.ge(index, 0), pt.lt(index, self.members))
        found = every[pt.clip(index, 0, self.members - 1), place]
        return checked(pt.where(known[..., None, None], found, np.nan), pt.all(known), NOBODY), None

    def _shaped(self, value: Any, n: int) -> TensorVariable:
        """The value with the static shape of its last n axes."""
        return pt.specify_shape(value, (*(None,) * (value.type.ndim - n), *(self.d,) * n)) if n else value


def _distinct(x: Float) -> tuple[Float, NDArray[np.intp] | None]:
    """The stimuli that differ, and which of them each is; all of them and None, where few repeat."""
    rows, place = np.unique(x, axis=0, return_inverse=True)
    return (rows, place.ravel()) if len(rows) <= FEW_REPEAT * len(x) else (x, None)


def _weights_of(weights: Any, name: str, group: str) -> Float:
    """Weights as an array, from draws, from a mode, or as they are."""
    if hasattr(weights, "point"):
        weights = weights.point[name]
    elif hasattr(weights, "children"):
        if group not in weights.children or name not in weights[group]:
            found = ", ".join(sorted(weights.children))
            remedy = "give draws of the model that the field is of, and the name of their group"
            raise ValueError(explain(f"weights {name!r} in the group {group!r}", f"groups {found}", remedy))
        weights = weights[group][name]
    return np.asarray(as_numbers("weights", weights), np.float64)


def _check_member(member: Any, members: int | None) -> Any:
    """Whole numbers of members, or a variable of them."""
    member = as_numbers("member", member)
    known = known_numbers(member)
    if known is not None:
        wrong = ~np.isin(known, np.arange(members or 0)).ravel()
        refuse(
            wrong,
            {"member": known.ravel()},
            expected=f"numbers of members from 0 to {(members or 0) - 1}",
            found="others",
            remedy="count from 0: member, names = pandas.factorize(df['observer'])",
        )
    return member if isinstance(member, Variable) else np.asarray(member).astype(np.int64)


def wishart_field(
    name: str,
    degree: int,
    d: int = 2,
    extra: int = 1,
    *,
    variance: Any = 4e-3,
    decay: Any = 0.4,
    diagonal: float = 1e-4,
    mean: WishartField | None = None,
    spread: Any = 0.5,
    dims: str | None = None,
) -> WishartField:
    r"""Make a covariance field over stimulus space a variable of the model: a Wishart process.

    :math:`\Sigma(x) = U(x) U(x)' + c I` with :math:`U(x) = \sum_{ij} W_{ij} T_i(x_1) T_j(x_2)`, where T are Chebyshev
    polynomials and the weights :math:`W_{ij}`, of shape (d, d + extra), are normal with mean 0 and variance
    variance * decay^(i + j): the smaller `decay`, the smoother the field.

    Parameters
    ----------
    name : str
        Of the weights in the model.
    degree : int
        Of the polynomials of each coordinate.
    d : int
        Dimensions of a stimulus: 1, 2 or 3.
    extra : int
        Further dimensions of the embedding. A covariance at one x has d + extra degrees of freedom.
    variance, decay : number or TensorVariable
        Above 0. The defaults are those of psyphy.
    diagonal : float
        c, above 0.
    mean : WishartField, optional
        A field that several members share: their weights are normal around its weights.
    spread : number or TensorVariable
        With `mean`: how much members differ, in standard deviations of the weights' prior.
    dims : str, optional
        With `mean`: the model's dimension whose coordinates are the members.

    Returns
    -------
    WishartField
        With ``.at(x)``, the covariance matrices at stimuli.

    Raises
    ------
    ValueError
        For an argument that is not as described.
    TypeError
        Outside of a model.

    Notes
    -----
    Weights are known up to rotations of the embedding, which change no covariance. Samplers and modes keep one of each,
    in which the first d + extra - 1 rows of weights are lower triangular with a positive diagonal; draws from the prior
    are not rotated. The last column of all weights may have either sign, so that weights themselves have two mirror
    images, and chains that found different ones a large R-hat: look at that of covariances. The prior of the
    covariances is the same. The unconstrained scale is that of the prior's standard
    deviations: a rate of an optimiser, or a tolerance, has the same meaning for weights of every degree. Weights enter
    the model through covariances only; other functions of them depend on the rotation.

    Examples
    --------
    >>> import numpy as np, pymc as pm, pymc_lan as pl
    >>> with pm.Model() as model:
    ...     field = pl.wishart_field("W", degree=3)
    ...     sigma = pm.Deterministic("sigma", field.at([[0.0, 0.0], [0.5, -1.0]]))
    >>> field
    WishartField('W', degree=3, d=2, extra=1)
    >>> model.initial_point()["W_canonical__"].shape  # 4 * 4 * 2 * 3, of which three are always 0
    (93,)

    Two observers whose fields share a mean:

    >>> with pm.Model(coords={"observer": ["ann", "bob"]}):
    ...     shared = pl.wishart_field("shared", degree=3)
    ...     field = pl.wishart_field("W", degree=3, mean=shared, spread=pm.HalfNormal("spread", 0.5), dims="observer")
    ...     sigma = field.at(np.zeros((3, 2)), member=[0, 1, 1])
    >>> field
    WishartField('W', degree=3, d=2, extra=1, members=2)
    """
    if mean is not None:
        return _of_members(name, mean, degree, d, extra, spread, dims)
    if dims is not None:
        raise ValueError(explain("dims beside mean=..., whose members it names", "dims alone", "give mean=, a field"))
    degree, d, extra = check_count("degree", degree, 0), check_count("d", d), check_count("extra", extra, 0)
    if d > MOST_DIMENSIONS:
        remedy = "use fewer coordinates of the stimuli"
        raise ValueError(explain(f"d, the dimensions of a stimulus, up to {MOST_DIMENSIONS}", f"d={d}", remedy))
    for what, value in {"variance": variance, "decay": decay, "diagonal": diagonal, "spread": spread}.items():
        _check_positive(what, value, symbolic=what != "diagonal")
    field = WishartField(None, degree, d, extra, variance, decay, float(diagonal))
    transform = Canonical(field.shape)
    weights = pm.Normal(name, 0.0, _deviations(field), shape=field.shape, default_transform=None, transform=transform)
    return WishartField(weights, degree, d, extra, variance, decay, float(diagonal))


def _of_members(
    name: str, mean: WishartField, degree: int, d: int, extra: int, spread: Any, dims: str | None
) -> WishartField:
    """Fields whose weights are normal around those of another."""
    ours, kind = (degree, d, extra), isinstance(mean, WishartField)
    if not kind or ours != (mean.degree, mean.d, mean.extra) or mean.members is not None:
        found = f"{mean!r}"
        remedy = "give both fields the same degree, d and extra, and as mean a field without a mean"
        raise ValueError(explain(f"as mean one field of degree={degree}, d={d}, extra={extra}", found, remedy))
    _check_positive("spread", spread, symbolic=True)
    model = modelcontext(None)
    if not isinstance(dims, str) or dims not in model.coords:
        found, remedy = f"dims={dims!r}", "give the name of a dimension in pm.Model(coords={...})"
        raise ValueError(explain("dims, the model's dimension of the members", found, remedy))
    members = len(model.coords[dims] or ())
    if not members:
        raise ValueError(explain(f"members along dims={dims!r}", "none", "give the dimension coordinates"))
    sd = pt.as_tensor(spread) * _deviations(mean)
    shape = (members, *mean.shape)
    unnamed = {f"{name}_dim_{1 + i}": np.arange(n) for i, n in enumerate(mean.shape)}
    model.add_coords(unnamed)
    weights = pm.Normal(
        name,
        mean.weights,
        sd,
        shape=shape,
        # Axes without a meaning of their own have the names that ArviZ would give them.
        dims=(dims, *unnamed),
        default_transform=None,
        transform=Standard(),
    )
    return WishartField(weights, degree, d, extra, mean.variance, mean.decay, mean.diagonal, members)


def _check_positive(name: str, value: Any, *, symbolic: bool) -> None:
    known = known_numbers(value) if symbolic and not isinstance(value, str) else value if is_real(value) else np.nan
    if known is not None and (np.size(known) != 1 or not np.all((known > 0) & np.isfinite(known))):
        raise ValueError(explain(f"{name} as one number above 0", f"{name}={value!r:.80}", "give it so"))


def _deviations(field: WishartField) -> Any:
    """Standard deviations of weights, of shape (degree + 1, ..., 1, 1)."""
    power = total_degrees(field.degree, field.d)[..., None, None]
    given = field.variance, field.decay
    root = pt.sqrt if any(isinstance(x, Variable) for x in given) else np.sqrt
    return root(field.variance * field.decay**power)

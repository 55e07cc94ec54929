"""How fast a topology mixes: the eigenvalues of its mixing matrix.

W has the eigenvalue 1 (everybody agrees). Disagreement shrinks by |lambda_2|, the next largest in absolute value, per
round. Of a schedule that is taken of the product of one period, and spread over its rounds as a geometric mean.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gossipnet.topology.graph import Topology

DENSE_NODES = 2000  # LAPACK up to here: seconds; Lanczos above
KRYLOV_STEPS = 150
ZERO = 1e-12  # what rounding leaves of a round that averages exactly

Matvec = Callable[[np.ndarray], np.ndarray]
Triples = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, columns, values of a sparse matrix


@dataclass(frozen=True)
class Spectrum:
    """`second`: |lambda_2| of the period's product, in [0, 1]; `smallest`: the least real part of W's eigenvalues.

    `smallest` means nothing if the period is not 1.
    `exact` is the round after which everybody has the exact mean, or 0 if that never happens; `second` is 0 then.
    """

    second: float
    smallest: float
    period: int = 1
    exact: int = 0

    @property
    def per_round(self) -> float:
        """The factor by which disagreement shrinks in a round, in [0, 1]; small is fast."""
        return float(self.second ** (1 / self.period))

    @property
    def gap(self) -> float:
        """1 - |lambda_2| per round: of a schedule, 1 - |lambda_2 of the period's product| ^ (1 / period)."""
        return 1.0 - self.per_round

    def rounds_to_shrink(self, factor: float = 10.0) -> float:
        """Rounds until disagreement is `factor` times smaller; inf if it never is."""
        if self.exact:
            return self.exact
        if self.second >= 1.0:
            return math.inf
        return max(1, math.ceil(-math.log(factor) / math.log(self.per_round) - 1e-9))


def spectrum(topology: "Topology") -> Spectrum:
    """Exact for up to DENSE_NODES nodes; above, by Lanczos with scipy, or estimated (gap from above) without."""
    if topology.n == 1:
        return Spectrum(0.0, 1.0, topology.period, exact=1)
    rounds = [_triples(topology, r) for r in range(1, topology.period + 1)]
    exact = _exact_after(rounds, topology.n)
    if exact and topology.period > 1:
        return Spectrum(0.0, 0.0, topology.period, exact)
    second, smallest = _dense(topology) if topology.n <= DENSE_NODES else _large(topology, rounds)
    second = 0.0 if exact else 1.0 if second > 1 - ZERO else second
    return Spectrum(second, smallest, topology.period, exact)


def _exact_after(rounds: Sequence[Triples], n: int) -> int:
    """The first round of the period that leaves nothing but rounding of a random vector's disagreement, or 0."""
    x = _random(n)
    for r, w in enumerate(rounds, start=1):
        y = _mixed(x, w)
        if np.linalg.norm(y) < ZERO * np.linalg.norm(x):
            return r
        x = y
    return 0


def _dense(topology: "Topology") -> tuple[float, float]:
    if topology.period == 1:
        return _extremes(_eigenvalues(topology.matrix()))
    product = np.eye(topology.n)
    for r in range(1, topology.period + 1):
        product = topology.matrix(r) @ product
        product -= product.mean(0)  # without the eigenvalue 1, tiny products of many rounds keep their precision
    values = np.linalg.eigvals(product)
    return float(np.abs(values).max()), float(values.real.min())


def _eigenvalues(w: np.ndarray) -> np.ndarray:
    """All eigenvalues of a row-stochastic matrix.

    If W is reversible (undirected graphs: metropolis, lazy, uniform and keep all are), sqrt(W * W.T) has the same
    ones and is symmetric, which is ten times cheaper. Its largest eigenvalue is 1 only then, and smaller otherwise.
    """
    values: np.ndarray
    if ((w > 0) == (w.T > 0)).all():
        values = np.linalg.eigvalsh(np.sqrt(w * w.T))
        if values[-1] > 1 - 1e-10:
            return values
    values = np.linalg.eigvals(w)
    return values


def _extremes(values: np.ndarray) -> tuple[float, float]:
    """(|lambda_2|, least real part) from all eigenvalues, one of which is 1."""
    rest = np.delete(values, np.argmin(np.abs(values - 1)))
    return float(np.abs(rest).max()), float(values.real.min())


def _large(topology: "Topology", rounds: Sequence[Triples]) -> tuple[float, float]:
    step = _step(rounds)
    try:
        import scipy.sparse.linalg  # noqa: F401
    except ImportError:
        values = _arnoldi(step, topology.n)
        return float(np.abs(values).max()), float(values.real.min())
    symmetric = _symmetric(topology, rounds[0])
    return _lanczos(symmetric) if symmetric is not None else _arpack(step, topology.n, topology.period == 1)


def _triples(topology: "Topology", round: int) -> Triples:
    """W of a round as (rows, columns, values), the diagonal last."""
    n = topology.n
    all_rows = [topology.row(i, round) for i in range(n)]
    rows = np.repeat(np.arange(n), [len(r.weights) for r in all_rows])
    columns = np.fromiter((j for r in all_rows for j, _ in r.weights), np.int64)
    values = np.fromiter((w for r in all_rows for _, w in r.weights), np.float64)
    own = np.fromiter((r.own for r in all_rows), np.float64)
    diagonal = np.arange(n)
    return np.append(rows, diagonal), np.append(columns, diagonal), np.append(values, own)


def _mixed(x: np.ndarray, w: Triples) -> np.ndarray:
    """W x less its mean: the eigenvalue 1 is gone and the others stay, since W keeps what is the same everywhere."""
    rows, columns, values = w
    y = np.bincount(rows, values * x.ravel()[columns], minlength=x.size)
    return np.asarray(y - y.mean())


def _step(rounds: Sequence[Triples]) -> Matvec:
    """x -> one period of mixing, without the eigenvalue 1."""
    return lambda x: functools.reduce(_mixed, rounds, x)


def _random(n: int) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal(n)
    return np.asarray(x - x.mean())


def _symmetric(topology: "Topology", w: Triples) -> Any:
    """sqrt(W * W.T) as a sparse matrix if it has W's eigenvalues (see `_eigenvalues`), else None."""
    if topology.period > 1 or topology.directed or topology.given_weights:
        return None
    from scipy.sparse import csr_matrix

    rows, columns, values = w
    matrix = csr_matrix((values, (rows, columns)), shape=(topology.n, topology.n))
    return matrix.multiply(matrix.T).sqrt().tocsc()


def _lanczos(w: Any) -> tuple[float, float]:
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    start = _random(w.shape[0]) + 1
    bottom = eigsh(w, k=1, which="SA", ncv=40, tol=1e-4, v0=start, return_eigenvectors=False)
    try:
        top = eigsh(w, k=2, which="LA", ncv=60, maxiter=30, tol=1e-9, v0=start, return_eigenvectors=False)
    except ArpackNoConvergence:  # a tiny gap means small cuts, and those make a sparse factorisation cheap
        top = eigsh(w, k=2, sigma=1 + 1e-6, which="LM", v0=start, return_eigenvectors=False)
    return max(float(top.min()), abs(float(bottom[0]))), float(bottom[0])


def _arpack(step: Matvec, n: int, fixed: bool) -> tuple[float, float]:
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

    operator = LinearOperator((n, n), matvec=step, dtype=np.float64)
    kept = LinearOperator((n, n), matvec=lambda x: step(x) + x.mean(), dtype=np.float64)  # has the eigenvalue 1, not 0
    start = _random(n)
    try:
        second = eigs(operator, k=1, which="LM", ncv=60, tol=1e-8, v0=start, return_eigenvectors=False)
        smallest = second
        if fixed:  # nobody asks for that of a product
            smallest = eigs(kept, k=1, which="SR", ncv=60, tol=1e-6, v0=start, return_eigenvectors=False)
    except ArpackNoConvergence:
        second = smallest = _arnoldi(step, n)
    return float(np.abs(second).max()), float(smallest.real.min())


def _arnoldi(step: Matvec, n: int) -> np.ndarray:
    """Ritz values of a Krylov space: the outer eigenvalues, estimated from inside (|lambda_2| is at least this)."""
    x = _random(n)
    basis = [x / np.linalg.norm(x)]
    steps = min(KRYLOV_STEPS, n - 1)
    h = np.zeros((steps + 1, steps))
    for k in range(steps):
        y = step(basis[k])
        size = float(np.linalg.norm(y))
        for _ in range(2):  # Gram-Schmidt twice keeps the basis orthogonal to rounding
            overlap = np.array([b @ y for b in basis])
            h[: k + 1, k] += overlap
            y = y - np.array(basis).T @ overlap
            y -= y.mean()  # or rounding lets the eigenvector of the removed eigenvalue grow
        h[k + 1, k] = norm = float(np.linalg.norm(y))
        if norm <= ZERO * size:
            return np.linalg.eigvals(h[: k + 1, : k + 1])
        basis.append(y / norm)
    return np.linalg.eigvals(h[:-1, :])

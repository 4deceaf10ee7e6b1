r"""Loops over the genes of a sample, compiled by numba; :mod:`midgd.nn.loops` calls them.

Exponential and logarithm are polynomials (Cephes, S. L. Moshier: ``expf``, ``logf``; relative error below 2e-7): a
compiler makes vector instructions of them, where it would call a mathematical library once a gene.
"""

# numba has no annotations, and compiles by the types that it is given.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, no-any-return"

from __future__ import annotations

import numba
import numpy as np

f32, i32 = np.float32, np.int32

# Sums may be reordered, and infinities left out of account: all inputs are finite.
SUMS = frozenset({"contract", "reassoc", "nsz", "arcp", "nnan"})
# Operations on single values may not be reordered: `log1p` is exact only in the order in which it is written.
VALUES = frozenset({"contract", "nsz", "arcp"})

LEAST_EXPONENT = f32(-87.0)  # e to the power of it is 1e-38, the smallest normal number
FLOOR = f32(1e-30)  # of odds, before their inverse
BLOCK = 1_024  # genes of a sum in float32; that of all is in float64, for it is large beside the differences that count
ZERO, HALF, ONE, THOUSAND, MILLION = f32(0.0), f32(0.5), f32(1.0), f32(1e3), f32(1e6)


def _compiled(fastmath):
    """Compile at the first call; the result is kept on disk where there is a folder for it."""

    def compile_(function):
        settings = {"nogil": True, "fastmath": set(fastmath), "error_model": "numpy"}
        try:
            return numba.njit(cache=True, **settings)(function)
        except RuntimeError:  # no home, or one that is read-only
            return numba.njit(**settings)(function)

    return compile_


@_compiled(VALUES)
def exp(x):
    """E to the power of x in [-87, 87]; what is below counts as -87."""
    x = max(x, LEAST_EXPONENT)
    k = np.floor(x * f32(1.44269504) + HALF)
    x = x - k * f32(0.693359375) + k * f32(2.12194440e-4)  # log 2 in two parts
    y = f32(1.9875691500e-4)
    y = y * x + f32(1.3981999507e-3)
    y = y * x + f32(8.3334519073e-3)
    y = y * x + f32(4.1665795894e-2)
    y = y * x + f32(1.6666665459e-1)
    y = y * x + f32(5.0000001201e-1)
    y = y * x * x + x + ONE
    return y * i32((i32(k) + i32(127)) << i32(23)).view(f32)


@_compiled(VALUES)
def log(x):
    """Natural logarithm of a normal positive number."""
    bits = f32(x).view(i32)
    k = i32(i32(bits - i32(0x3F3504F3)) >> i32(23))  # so that the mantissa is in [sqrt(1/2), sqrt(2))
    w = i32(bits - i32(k << i32(23))).view(f32) - ONE
    y = f32(7.0376836292e-2)
    y = y * w + f32(-1.1514610310e-1)
    y = y * w + f32(1.1676998740e-1)
    y = y * w + f32(-1.2420140846e-1)
    y = y * w + f32(1.4249322787e-1)
    y = y * w + f32(-1.6668057665e-1)
    y = y * w + f32(2.0000714765e-1)
    y = y * w + f32(-2.4999993993e-1)
    y = y * w + f32(3.3333331174e-1)
    return f32(k) * f32(0.693147181) + (w - HALF * w * w + y * w * w * w)


@_compiled(VALUES)
def log1p(x, inverse):
    """log(1 + x) of x >= 0, at full relative precision; ``inverse`` is 1 / (1 + x), for divisions take long."""
    u = f32(ONE + x)
    return log(u) + (x - (u - ONE)) * inverse


@_compiled(VALUES)
def _ordered(bits):
    """Bits of a float as an integer that is ordered as the floats are; applied again, the bits."""
    return i32(bits ^ (i32(bits >> i32(31)) & i32(0x7FFFFFFF)))


@_compiled(SUMS)
def _softmax(logits, out):
    """Fill ``out`` with exp(logits - highest logit), both (G,); the highest logit and the sum."""
    bits = logits.view(i32)
    highest = _ordered(bits[0])
    for g in range(len(bits)):  # of integers, for compilers make no vector instructions of the highest float
        highest = max(highest, _ordered(bits[g]))
    top, total = i32(_ordered(highest)).view(f32), ZERO
    for g in range(len(logits)):
        value = exp(logits[g] - top)
        out[g] = value
        total += value
    return top, total


@_compiled(SUMS)
def chosen_products(vectors, matrices, chosen, out):
    """See :func:`midgd.nn.loops.chosen_products`."""
    for i in range(len(vectors)):
        matrix, product = matrices[chosen[i]], out[i]
        product[:] = ZERO
        for j in range(len(matrix)):
            value = vectors[i, j]
            for k in range(len(product)):
                product[k] += value * matrix[j, k]


@_compiled(VALUES)
def has_repeats(genes, of_rows, n_genes):
    """See :func:`midgd.nn.loops.has_repeats`."""
    last = np.full(n_genes, i32(-1))  # row in which a gene was seen last
    for i in range(len(of_rows) - 1):
        for entry in range(of_rows[i], of_rows[i + 1]):
            if last[genes[entry]] == i:
                return True
            last[genes[entry]] = i
    return False


@_compiled(SUMS)
def fill(values, genes, of_rows, slots, counts, library):
    """See :func:`midgd.nn.loops.fill`."""
    for i in range(len(slots)):
        row, total = counts[slots[i]], 0.0
        row[:] = ZERO
        for entry in range(of_rows[i], of_rows[i + 1]):
            row[genes[entry]] += values[entry]
            total += values[entry]
        library[i] = total


@_compiled(SUMS)
def _lost_and_score(counts, share, scale, dispersion, scores):
    """Minus the log likelihood of some genes of a sample, the sum of their scores, and these; mean = share * scale."""
    lost, total = ZERO, ZERO
    for g in range(len(counts)):
        x, r, mean = counts[g], dispersion[g], share[g] * scale
        odds = max(mean / r, FLOOR)
        inverse, part = ONE / (ONE + odds), ONE / odds
        lost += x * log1p(part, odds * inverse) + r * log1p(odds, inverse)
        score = (x - mean) * inverse
        scores[g] = score
        total += score
    return lost, total


@_compiled(SUMS)
def log_likelihood(logits, counts, library, dispersion, value):
    """See :meth:`midgd.nn.loops.Loops.log_likelihood`; the gradient takes the place of the logits."""
    # Arrays of their own: the compiler makes vector instructions only where none is read and written at once.
    share, scores = np.empty(logits.shape[1], f32), np.empty(logits.shape[1], f32)
    for i in range(len(logits)):
        x, gradient = counts[i], logits[i]
        _, total = _softmax(logits[i], share)
        scale = library[i] / total
        lost, score = 0.0, 0.0
        for first in range(0, len(share), BLOCK):
            genes = slice(first, first + BLOCK)
            of_block = _lost_and_score(x[genes], share[genes], scale, dispersion[genes], scores[genes])
            lost, score = lost + of_block[0], score + of_block[1]
        value[i], per_share = -lost, f32(score) / total
        for g in range(len(share)):
            gradient[g] = scores[g] - share[g] * per_share


@_compiled(VALUES)
def digamma(y):
    """Derivative of the log Gamma function at y > 0 (Abramowitz and Stegun 1964, 6.3.5 and 6.3.18).

    Where the series does not hold it is taken at y + 4, less the derivative of log P, P = y (y + 1) (y + 2) (y + 3).
    """
    few = y < f32(4.0)
    z = y + f32(4.0) if few else y
    inverse = ONE / z
    square = inverse * inverse
    series = square * (f32(1 / 12) - square * (f32(1 / 120) - square * f32(1 / 252)))
    t = y * (y + f32(3.0))  # P = t (t + 2)
    slope = (y + y + f32(3.0)) * (t + t + f32(2.0)) / (t * (t + f32(2.0)))
    return log(z) - HALF * inverse - series - (slope if few else ZERO)


@_compiled(VALUES)
def _of_stirling(inverse):
    """The series of the log Gamma function at z >= 4 (Abramowitz and Stegun 1964, 6.1.41); ``inverse`` is 1 / z."""
    square = inverse * inverse
    return inverse * (f32(1 / 12) - square * (f32(1 / 360) - square * f32(1 / 1260)))


@_compiled(VALUES)
def lgamma_ratio(x, r):
    """Log Gamma(x + r) - log Gamma(x + 1) for x >= 0 and r > 0: of the size of r log x, where each is of x log x.

    With z = x + 1 and y = x + r it is (z - 1/2) log(y / z) + (r - 1) (log y - 1) and two series; of few counts it is
    taken at x + 4.
    """
    few = x < f32(4.0)
    shift = f32(4.0) if few else ZERO
    y, z, more = x + r + shift, x + ONE + shift, r - ONE
    of_y, of_z = ONE / y, ONE / z
    value = (z - HALF) * log1p(more * of_z, z * of_y) + more * (log(y) - ONE) + _of_stirling(of_y) - _of_stirling(of_z)
    t, u = (x + r) * (x + r + f32(3.0)), (x + ONE) * (x + f32(4.0))
    product = t * (t + f32(2.0)) / (u * (u + f32(2.0)))
    return value - log(product if few else ONE)


@_compiled(SUMS)
def _sum_of_ratios(counts, dispersion):
    total = ZERO
    for g in range(len(counts)):
        total += lgamma_ratio(counts[g], dispersion[g])
    return total


@_compiled(SUMS)
def lgamma_ratios(counts, dispersion, value):
    """Sums of :func:`lgamma_ratio` over the genes of samples, (n,)."""
    for i in range(len(counts)):
        x, total = counts[i], 0.0
        for first in range(0, len(dispersion), BLOCK):
            genes = slice(first, first + BLOCK)
            total += _sum_of_ratios(x[genes], dispersion[genes])
        value[i] = total


@_compiled(SUMS)
def dispersion_score(logits, counts, library, dispersion, out):
    """Derivatives of the log likelihood by the dispersions, (G,), summed over samples.

    That of a count is digamma(x + r) - digamma(r) - log(1 + m / r) + (m - x) / (m + r).
    """
    share, of_none = np.empty(logits.shape[1], f32), np.empty(logits.shape[1], f32)
    for g in range(len(of_none)):
        of_none[g] = digamma(dispersion[g])
        out[g] = ZERO
    for i in range(len(logits)):
        x = counts[i]
        _, total = _softmax(logits[i], share)
        scale = library[i] / total
        for g in range(len(share)):
            r, mean = dispersion[g], share[g] * scale
            spread = ONE / (mean + r)
            out[g] += digamma(x[g] + r) - of_none[g] - log1p(mean / r, r * spread) + (mean - x[g]) * spread


@_compiled(SUMS)
def damped_score(counts, library, share, dispersion, out):
    """See :meth:`midgd.nn.loops.Loops.damped_score`."""
    n, n_genes = counts.shape
    for i in range(n):
        x, result, depth = counts[i], out[i], library[i]
        for g in range(n_genes):
            r = dispersion[g]
            result[g] = r * log((x[g] + r) / (share[g] * depth + r))


@_compiled(SUMS)
def shown(logits, counts, library, genes, dispersion, denoised, stats):
    """See :meth:`midgd.nn.loops.Loops.shown`; ``stats`` (n, 4): reliability, molecules, misfit, surprise."""
    n, n_genes = logits.shape
    n_present = len(genes)
    present, found = np.zeros(n_genes, f32), np.zeros(n_genes, f32)
    for g in genes:
        present[g] = ONE
    for i in range(n):
        a, profile = logits[i], denoised[i]
        if n_present < n_genes:
            for j in range(n_present):
                found[genes[j]] = counts[i, j]
        x = found if n_present < n_genes else counts[i]
        top, total = _softmax(a, profile)
        of_present = ZERO
        for g in range(n_genes):
            of_present += profile[g] * present[g]
        scale, log_present, per_total = library[i] / of_present, log(of_present), MILLION / total
        reliability, excess, expected, seen = ZERO, ZERO, ZERO, ZERO
        for g in range(n_genes):
            r, here, e = dispersion[g], present[g], profile[g]
            mean = e * scale
            inverse, deviation = ONE / (mean + r), x[g] - mean
            reliability += here * mean * inverse
            excess += here * deviation * deviation * r * inverse
            log_share = a[g] - top - log_present
            expected += here * e * log_share
            seen += x[g] * log_share
            rate = e * per_total * (here * (x[g] + r) * inverse + (ONE - here))
            profile[g] = log1p(rate, ONE / (ONE + rate))
        molecules = scale * total
        stats[i, 0] = reliability / f32(n_present)
        stats[i, 1] = molecules
        stats[i, 2] = log(max(excess / max(library[i], f32(1e-9)), f32(1e-9)))
        stats[i, 3] = expected / of_present - seen / library[i] if library[i] > ZERO else ZERO


@_compiled(SUMS)
def counts_profiles(logits, counts, molecules, genes, rows, own):
    """See :meth:`midgd.nn.loops.Loops.counts_profiles`."""
    n_genes, n_present = logits.shape[1], len(genes)
    absent = np.ones(n_genes, np.bool_)
    absent[genes] = False
    absent_genes = np.flatnonzero(absent)
    share, found = np.empty(n_genes, f32), np.empty(n_present, f32)
    for k in range(len(rows)):
        i, profile = rows[k], own[k]
        x, per_thousand = counts[i], THOUSAND / max(molecules[i], f32(1e-6))
        into = profile if n_present == n_genes else found
        for j in range(n_present):
            rate = x[j] * per_thousand
            into[j] = log1p(rate, ONE / (ONE + rate))
        if n_present < n_genes:
            for j in range(n_present):
                profile[genes[j]] = found[j]
            top, total = _softmax(logits[i], share)
            _draws_of_absent(logits[i], top, total, molecules[i], absent_genes, profile)


@_compiled(SUMS)
def _draws_of_absent(logits, top, total, molecules, absent, own):
    """What :func:`midgd.infer.profiles.counts_profile` says of genes that are not present."""
    drawn = np.empty(len(absent), f32)
    for j in range(len(absent)):
        drawn[j] = logits[absent[j]] - top
    for j in range(len(absent)):  # apart from the gathering, for vector instructions
        share = exp(drawn[j]) / total
        mean = molecules * share
        few = mean * (ONE - mean * (HALF - mean / f32(6.0)))  # 1 - exp(-mean), which cancels where the mean is small
        some = max(few if mean < f32(1e-2) else ONE - exp(-mean), FLOOR)
        rate = THOUSAND * share / some
        drawn[j] = some * log1p(rate, ONE / (ONE + rate))
    for j in range(len(absent)):
        own[absent[j]] = drawn[j]


@_compiled(SUMS)
def among(profile, genes, scale, out):
    """See :func:`midgd.nn.loops.among`."""
    for i in range(len(profile)):
        all_genes, rate, total = profile[i], out[i], ZERO
        for j in range(len(genes)):
            rate[j] = all_genes[genes[j]]
        for j in range(len(rate)):  # apart from the gathering, for vector instructions
            rate[j] = exp(rate[j]) - ONE
            total += rate[j]
        per_rate = scale / max(total, FLOOR)
        for j in range(len(rate)):
            scaled = rate[j] * per_rate
            rate[j] = log1p(scaled, ONE / (ONE + scaled))

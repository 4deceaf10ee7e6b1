"""The predictor: what must not change its result, units, levels, errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import spearmanr

from midgd.infer import InferenceOptions, Prediction, Predictor
from midgd.infer.latents import ROWS_ON_ACCELERATOR
from midgd.infer.predict import TELLING, at_level, domain_score, sample_kind_of, uncertainty
from midgd.infer.units import UNITS, in_units
from midgd.nn import loops
from midgd.reference import Reference, load
from midgd.reference.arms import ALLOWED_EXCESS, Arms

GENES = np.sort(np.random.default_rng(5).permutation(600)[:520])


@pytest.fixture(scope="module")
def counts(toy_pairs) -> np.ndarray:
    """Bulk and shallow samples, one of them empty."""
    bulk = toy_pairs.mrna[~toy_pairs.train][:, GENES]
    shallow = np.random.default_rng(0).poisson(bulk * (2_000 / bulk.sum(1, keepdims=True)))
    rows = np.vstack([bulk[:10], shallow[:19], np.zeros((1, len(GENES)))])
    return rows.astype(np.float32)


@pytest.fixture(scope="module")
def predicted(toy_reference, counts) -> Prediction:
    return Predictor(toy_reference, GENES)(counts)


def assert_same(one: Prediction, two: Prediction, rows: np.ndarray | slice = slice(None)) -> None:
    for field in dataclasses.fields(Prediction):
        a, b = getattr(one, field.name), getattr(two, field.name)[rows]
        np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-4 if field.name == "latent" else 1e-5, err_msg=field.name)
    np.testing.assert_allclose(in_units(one.share, "log1p_cpm"), in_units(two.share[rows], "log1p_cpm"), atol=2e-5)


def test_shapes_and_types(predicted, counts, toy_reference):
    n = len(counts)
    n_mature = len(toy_reference.card["matures"]["name"])
    assert predicted.share.shape == (n, 40 + n_mature) and predicted.latent.shape == (
        n,
        toy_reference.prior.n_latent,
    )
    assert predicted.evidence.shape == predicted.misfit.shape == predicted.kind_probability.shape == (n,)
    for name in ("share", "latent", "evidence", "misfit"):
        values = getattr(predicted, name)
        assert values.dtype == np.float32 and np.isfinite(values).all(), name
    assert predicted.converged.dtype == bool and predicted.converged.all()


def test_predicts_held_out_mirna(predicted, toy_pairs):
    truth = toy_pairs.mirna[~toy_pairs.train][:10]
    rho = [spearmanr(p, t).statistic for p, t in zip(predicted.share[:, :40], truth, strict=False)]
    assert np.mean(rho) > 0.9


@pytest.mark.parametrize("rows", [1, 7, 256])
def test_chunks_do_not_matter(toy_reference, counts, predicted, rows):
    assert_same(Predictor(toy_reference, GENES, options=InferenceOptions(rows=rows))(counts), predicted)


@pytest.mark.parametrize("panel", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_way_of_an_accelerator(monkeypatch, panel):
    """Its batch shapes and the operations of torch instead of compiled loops, with the bundled reference.

    The search may end one step earlier or later, which a tight tolerance makes the same.
    """
    reference = load("default")
    rng, n_genes = np.random.default_rng(0), len(reference.genes.symbols)
    genes = np.sort(rng.permutation(n_genes)[:2_000]) if panel else np.arange(n_genes)
    z = reference.prior.sample(5, generator=torch.Generator().manual_seed(0))
    rate = reference.decoder.log_share(z, "mrna").exp().numpy()[:, genes]
    library = np.array([300.0, 2_000.0, 2_000.0, 20_000.0, 3e6])[:, None]
    counts = sparse.csr_matrix(rng.poisson(library * rate / rate.sum(1, keepdims=True)).astype(np.float32))
    tight = InferenceOptions(tolerance=1e-6)
    expected = Predictor(reference, genes, options=tight)(counts)
    monkeypatch.setattr(loops, "_compiled", lambda: None)
    found = Predictor(reference, genes, options=InferenceOptions(tolerance=1e-6, rows=ROWS_ON_ACCELERATOR))(counts)
    one, two = (in_units(answer.share, "log1p_cpm") for answer in (found, expected))
    np.testing.assert_allclose(one, two, atol=1e-4)
    np.testing.assert_array_equal(found.kind, expected.kind)
    for sign, known in zip((*found.signs, found.weights), (*expected.signs, expected.weights), strict=True):
        np.testing.assert_allclose(sign, known, atol=1e-3)


@pytest.mark.parametrize("convert", [sparse.csr_matrix, lambda x: x.astype(np.float64), lambda x: x.astype(np.int64)])
def test_storage_does_not_matter(toy_reference, counts, predicted, convert):
    assert_same(Predictor(toy_reference, GENES)(convert(counts)), predicted)


def test_order_of_samples_does_not_matter(toy_reference, counts, predicted):
    order = np.random.default_rng(1).permutation(len(counts))
    assert_same(Predictor(toy_reference, GENES)(counts[order]), predicted, order)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_matter(toy_reference, counts, predicted, threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert_same(Predictor(toy_reference, GENES)(counts), predicted)
    finally:
        torch.set_num_threads(before)


def test_order_of_genes_does_not_matter(toy_reference, counts, predicted):
    order = np.random.default_rng(2).permutation(len(GENES))
    assert_same(Predictor(toy_reference, GENES[order])(counts[:, order]), predicted)


def test_absent_genes_are_not_zeros(toy_reference, counts, predicted):
    zeros = np.zeros((len(counts), 600), np.float32)
    zeros[:, GENES] = counts
    filled = Predictor(toy_reference, np.arange(600))(zeros)
    assert np.abs(filled.share[:10] - predicted.share[:10]).max() > 1e-3


def test_predicting_leaves_the_reference_as_it_was(toy_reference_path, counts):
    reference = load(toy_reference_path)
    before = {k: v.clone() for k, v in reference.readout.state_dict().items()}
    Predictor(reference, GENES)(counts[:2])
    after = reference.readout.state_dict()
    assert all(after[k].dtype == v.dtype and torch.equal(after[k], v) for k, v in before.items())


def test_empty_rows_are_flagged(toy_reference, predicted):
    ood = domain_score(toy_reference, predicted)
    assert ood[-1] == 1.0 and predicted.evidence[-1] == 0.0
    assert predicted.share[-1, :40].sum() == pytest.approx(1.0, abs=0.5)
    assert (ood[:-1] < 1.0).all()
    assert predicted.kind[-1] == -1 and np.isnan(predicted.kind_probability[-1])


def test_nearest_kinds_are_those_of_held_out_samples(toy_reference, toy_pairs):
    held_out = ~toy_pairs.train
    predicted = Predictor(toy_reference, GENES)(toy_pairs.mrna[held_out][:, GENES])
    found = np.array(toy_reference.kind_names)[predicted.kind]
    assert (found == toy_pairs.obs["cohort"][held_out]).mean() > 0.6  # a third by chance
    assert ((predicted.kind_probability > 1 / 3) & (predicted.kind_probability <= 1)).all()


def test_most_rows_decide_what_the_rows_are(toy_reference, predicted):
    for kinds, expected in (([2, 2, 0, -1, -1], "cell"), ([2, 0, 1], "tissue"), ([-1, -1], "tissue")):
        part = dataclasses.replace(predicted[: len(kinds)], kind=np.array(kinds))
        assert sample_kind_of(toy_reference, with_evidence(part, 0.5)) == expected


def with_evidence(part, evidence):
    return dataclasses.replace(part, evidence=np.full(len(part), evidence, np.float32))


def test_rows_of_too_few_counts_to_tell_are_judged_as_cells(toy_reference, predicted):
    part = dataclasses.replace(predicted[:3], kind=np.array([0, 0, 1]))
    assert sample_kind_of(toy_reference, with_evidence(part, 2 * TELLING)) == "tissue"
    assert sample_kind_of(toy_reference, with_evidence(part, TELLING / 2)) == "cell"
    table = toy_reference.card["kinds_table"]
    tissues = table | {"group": ["tissue"] * len(table["group"])}
    tissue_only = dataclasses.replace(toy_reference, card=toy_reference.card | {"kinds_table": tissues})
    assert sample_kind_of(tissue_only, with_evidence(part, TELLING / 2)) == "tissue"


def test_cells_are_judged_by_the_errors_of_cells(toy_reference, predicted):
    wider = dataclasses.replace(toy_reference.calibration, sd=3 * toy_reference.calibration.sd)
    both = dataclasses.replace(toy_reference, cell_calibration=wider)
    one, other = (uncertainty(both, predicted, "mature", "log1p_cpm", kind) for kind in ("tissue", "cell"))
    np.testing.assert_allclose(other, 3 * one, rtol=1e-4)
    np.testing.assert_array_equal(uncertainty(toy_reference, predicted, "mature", "log1p_cpm", "cell"), one)


def test_shuffled_genes_are_out_of_domain(toy_reference, counts, predicted):
    strange = domain_score(toy_reference, Predictor(toy_reference, GENES)(counts[:10, ::-1]))
    assert strange.min() > 0.9 and np.median(domain_score(toy_reference, predicted)[:10]) < 0.5


def test_deeper_samples_have_more_evidence(predicted):
    assert predicted.evidence[:10].min() > predicted.evidence[10:].max()


@pytest.fixture(scope="module")
def plain(toy_reference) -> Reference:
    """The latent model alone."""
    return Reference(toy_reference.card, toy_reference.decoder, toy_reference.prior)


def test_without_readout_the_share_is_the_decoders(plain, counts, predicted):
    alone = Predictor(plain, GENES)(counts)
    with torch.no_grad():
        expected = plain.decoder.log_share(torch.tensor(alone.latent), "mirna").exp().numpy()
    np.testing.assert_allclose(alone.share, expected, rtol=1e-4)
    np.testing.assert_allclose(alone.latent, predicted.latent, atol=1e-6)
    assert np.abs(alone.share - predicted.share[:, :40]).max() > 1e-3  # the readout does something


def test_without_calibration_there_are_no_scores_and_no_errors(plain, counts):
    alone = Predictor(plain, GENES)(counts)
    ood = domain_score(plain, alone)
    assert np.isnan(ood[:-1]).all() and ood[-1] == 1.0
    with pytest.raises(ValueError, match="uncertainty"):
        uncertainty(plain, alone, "stem-loop", "cpm")


def test_shares_add_up_to_about_one(predicted, toy_reference, counts):
    """Logs are predicted one by one: their sum is not forced, but of the right size; decoded shares are a softmax."""
    assert (predicted.share >= 0).all()
    for outputs in (slice(0, 40), slice(40, None)):
        assert 0.5 < np.median(predicted.share[:, outputs].sum(1)) < 1.2
    decoded = Predictor(dataclasses.replace(toy_reference, readout=None, arms=None, kinds=None), GENES)(counts).share
    np.testing.assert_allclose(decoded.sum(1), 1.0, atol=1e-5)


def test_units_agree(predicted):
    share, cpm, log = (in_units(predicted.share, units) for units in ("share", "cpm", "log1p_cpm"))
    np.testing.assert_allclose(np.expm1(log.astype(float)), cpm, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(share * 1e6, cpm, rtol=1e-6)
    assert share.dtype == cpm.dtype == log.dtype == np.float32
    with pytest.raises(ValueError, match=r"tpm.*log1p_cpm"):
        in_units(share, "tpm")


def test_arms_never_exceed_their_stem_loops_beyond_noise(toy_reference, toy_pairs, predicted):
    mature, stem_loops = (at_level(toy_reference, predicted.share, level) for level in ("mature", "stem-loop"))
    assert mature.shape == (len(mature), len(toy_pairs.matures)) and stem_loops.shape == (len(mature), 40)
    names = toy_pairs.matures
    for stem in ("hsa-mir-21", "hsa-mir-375", "hsa-mir-10b"):
        arms = [names.index(stem.replace("mir", "miR") + arm) for arm in ("-5p", "-3p")]
        whole = stem_loops[:, toy_pairs.stem_loops.index(stem)]
        both = mature[:, arms].sum(1)
        assert (both <= whole * (ALLOWED_EXCESS + 1e-5)).all() and (both > 0.8 * whole).all()
    np.testing.assert_array_equal(stem_loops, predicted.share[:, :40])


def test_what_does_not_exceed_is_left_as_it_was(toy_reference, predicted):
    arms, stem_loops = toy_reference.arms, predicted.share[:, :40]
    whole = arms.of(stem_loops)
    np.testing.assert_allclose(arms.bound(0.7 * whole, stem_loops), 0.7 * whole, rtol=1e-5)
    assert not arms.bound(whole, np.zeros_like(stem_loops)).any()


def test_bound_equals_a_loop_over_loci():
    """Locus 0 has arms 0 and 1; arm 1 comes from locus 1 too."""
    arms = Arms(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.5, 0.4, 0.9], np.float32))
    stem_loops, mature = np.array([[10.0, 30.0]]), np.array([[9.0, 30.0]])
    of_locus = np.array([30.0 * 4 / 31, 30.0 * 27 / 31])  # arm 1, in proportion to 10 x 0.4 and 30 x 0.9
    allowed = [min(1.0, ALLOWED_EXCESS * 10 / (9.0 + of_locus[0])), min(1.0, ALLOWED_EXCESS * 30 / of_locus[1])]
    expected = [[9.0 * allowed[0], of_locus @ allowed]]
    np.testing.assert_allclose(arms.bound(mature, stem_loops), expected, rtol=1e-5)


def test_loci_with_one_mature_sequence_are_summed(toy_reference, toy_pairs, predicted):
    arms, stem_loops = toy_reference.arms, predicted.share[:, :40]
    expected = np.zeros((len(stem_loops), len(toy_pairs.matures)))
    for stem, name, fraction in zip(arms.stem_loop, arms.mature, arms.fraction, strict=True):
        expected[:, name] += stem_loops[:, stem] * fraction
    assert (arms.mature == toy_pairs.matures.index("hsa-let-7a-5p")).sum() == 3
    np.testing.assert_allclose(arms.of(stem_loops), expected, rtol=1e-5)


def test_a_reference_with_arms_answers_at_both_levels(toy_reference):
    with pytest.raises(ValueError, match="0 outputs; 40 stem-loops"):
        dataclasses.replace(toy_reference, readout=None)


@pytest.mark.parametrize("level", ["stem-loop", "mature"])
@pytest.mark.parametrize("units", UNITS)
def test_uncertainty_follows_the_units_to_first_order(toy_reference, predicted, level, units):
    log_sd = uncertainty(toy_reference, predicted, level, "log1p_cpm").astype(float)
    sd = uncertainty(toy_reference, predicted, level, units)
    share = at_level(toy_reference, predicted.share, level).astype(float)
    assert sd.shape == share.shape and sd.dtype == np.float32 and (sd > 0).all()
    step, cpm = 1e-5, 1e6 * share

    def back(log: np.ndarray) -> np.ndarray:
        return {"log1p_cpm": log, "cpm": np.expm1(log), "share": np.expm1(log) / 1e6}[units]

    slope = (back(np.log1p(cpm) + step) - back(np.log1p(cpm) - step)) / (2 * step)
    np.testing.assert_allclose(sd, slope * log_sd, rtol=1e-3)


@pytest.mark.parametrize(("level", "outputs"), [("stem-loop", slice(0, 40)), ("mature", slice(40, None))])
def test_uncertainty_is_the_calibrated_error(toy_reference, predicted, level, outputs):
    calibration = dataclasses.replace(toy_reference.calibration, widening=None)
    toy_reference = dataclasses.replace(toy_reference, calibration=calibration)
    evidence, known = np.full_like(predicted.evidence, calibration.evidence[1]), np.full_like(predicted.misfit, -1e3)
    at = dataclasses.replace(predicted, evidence=evidence, misfit=known)
    sd = uncertainty(toy_reference, at, level, "log1p_cpm")
    np.testing.assert_allclose(sd, np.broadcast_to(calibration.sd[1, outputs], sd.shape), rtol=1e-5)


def test_kinds_without_a_readout_are_an_error(toy_reference):
    with pytest.raises(ValueError, match="Kinds add to a readout"):
        dataclasses.replace(toy_reference, readout=None, arms=None)

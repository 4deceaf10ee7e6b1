"""Command line: `midgd demo`, `midgd infer`, `midgd report`, `midgd references`, `midgd fetch`, `midgd bench`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from midgd import __version__
from midgd.files import READS, check_output, read_file, write_file


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors that the user can mend are printed in one line and give exit status 1."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, TypeError, KeyError, OSError, ImportError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print("midgd:", " ".join(str(message).split()), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="midgd", description="microRNA inferred from mRNA")
    parser.add_argument("--version", action="version", version=f"midgd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser("demo", help="infer miRNA in 700 real PBMCs and draw it")
    demo.add_argument("--output", type=Path, default=Path("figures"), help="folder of the figures (default: figures)")
    demo.set_defaults(run=_demo)

    infer = commands.add_parser("infer", help="infer miRNA for the cells of a file")
    infer.add_argument("input", type=Path, help=f"counts: {READS}")
    infer.add_argument("output", type=Path, help=".h5ad or .zarr to write: the input with results in obsm, obs and uns")
    infer.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    infer.add_argument("--modality", help="modality of a MuData that holds the mRNA (default: found by its name)")
    infer.add_argument("--transpose", action="store_true", help="the table has genes as rows")
    infer.add_argument("--counts", default="check", help="trust: take values of any scale for counts (default: check)")
    infer.add_argument("--reference", default="default", help="name or folder (default: default)")
    infer.add_argument("--layer", help="layer that holds the counts (default: X)")
    infer.add_argument("--use-raw", action="store_true", help="take the counts from raw")
    infer.add_argument("--gene-symbols", metavar="COLUMN", help="column of var with symbols or Ensembl ids")
    infer.add_argument("--level", default="mature", help="mature or stem-loop (default: mature)")
    infer.add_argument("--units", default="log1p_cpm", help="log1p_cpm, cpm or share (default: log1p_cpm)")
    infer.add_argument("--groupby", metavar="COLUMN", help="sum counts over a column of obs first")
    infer.add_argument("--uncertainty", action="store_true", help="also write standard deviations")
    infer.add_argument("--key-added", default="mirna", help="name of the results (default: mirna)")
    infer.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    infer.add_argument("--refine", type=int, metavar="STEPS", help="limit of optimiser steps; 0: encoder only")
    infer.set_defaults(run=_infer)

    report = commands.add_parser("report", help="write a page about inferred miRNA, to read in a browser")
    report.add_argument("input", type=Path, help="what midgd infer wrote (.h5ad, .zarr)")
    report.add_argument("output", type=Path, help=".html to write; it needs no other file and no network")
    report.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    report.add_argument("--groupby", metavar="COLUMN", help="column of obs to compare (default: nearest kinds)")
    report.add_argument("--key-added", default="mirna", help="name of the results (default: mirna)")
    report.add_argument("--title", help="heading of the page (default: the name of the input)")
    report.set_defaults(run=_report)

    references = commands.add_parser("references", help="list the references that are known by name")
    references.set_defaults(run=_references)

    fetch = commands.add_parser("fetch", help="download public training data into the layout that bench reads")
    fetch.add_argument("what", choices=["tcga"], help="tcga: matched mRNA and miRNA counts from the GDC")
    fetch.add_argument("folder", type=Path, help="folder to make; then: midgd bench --data FOLDER")
    fetch.add_argument("--projects", nargs="+", metavar="PROJECT", help="TCGA-ACC ... (default: the reference's 21)")
    fetch.add_argument("--seed", type=int, default=0, help="of the division of patients (0)")
    fetch.add_argument("--downloads", type=Path, metavar="FOLDER", help="keep the downloads there (default: cache)")
    fetch.add_argument("--workers", type=int, default=4, help="downloads at a time (4)")
    fetch.set_defaults(run=_fetch)

    bench = commands.add_parser("bench", help="compare midgd with ridge, boosting and others on paired data")
    bench.add_argument("--output", type=Path, default=Path("benchmark"), help="name of the .csv and .png (benchmark)")
    bench.add_argument("--arms", nargs="+", metavar="ARM", help="methods, names in midgd.bench.METHODS (default: all)")
    bench.add_argument("--settings", nargs="+", metavar="SETTING", help="bulk, depth, loco-full, ... (default: all)")
    bench.add_argument("--data", type=Path, help="folder of paired data (default: MIDGD_DEV_DATA or ../shared/data)")
    bench.add_argument("--on", help="split that is scored: test or val (default: test; val with --ablation)")
    bench.add_argument("--boot", type=int, default=200, help="resamples over patients for the intervals (200)")
    bench.add_argument("--seed", type=int, default=0, help="of downsampling, arms and bootstrap (0)")
    bench.add_argument(
        "--ablation", type=Path, metavar="PAGE", help="instead: change one part of midgd at a time; a table in Markdown"
    )
    bench.set_defaults(run=_bench)
    return parser


def _demo(options: argparse.Namespace) -> None:
    from midgd.demo import run

    for path in run(options.output):
        print(path)


def _infer(options: argparse.Namespace) -> None:
    check_output(options.output, options.overwrite)
    from midgd.settings import logger
    from midgd.tl import infer_mirna

    own = ("input", "output", "run", "overwrite", "modality", "transpose")
    given = {name: value for name, value in vars(options).items() if name not in own}
    logger.info("reading %s", options.input)
    adata = read_file(options.input, modality=options.modality, transpose=options.transpose)
    logger.info("inferring miRNA of %s cells x %s columns", f"{adata.n_obs:,}", f"{adata.n_vars:,}")
    infer_mirna(adata, **given)
    logger.info("writing %s", options.output)
    write_file(adata, options.output)


def _report(options: argparse.Namespace) -> None:
    check_output(options.output, options.overwrite, (".html", ".htm"))
    from midgd._files import write_atomic
    from midgd.report import report
    from midgd.settings import logger

    adata = read_file(options.input)
    title = options.title or f"Inferred miRNA: {options.input.name}"
    page = report(adata, groupby=options.groupby, key=options.key_added, title=title)
    write_atomic(options.output, page.encode("utf-8"))
    logger.info("wrote %s", options.output)


def _references(options: argparse.Namespace) -> None:
    from midgd.reference import available

    print(available().to_string())


def _fetch(options: argparse.Namespace) -> None:
    from midgd.datasets import tcga_folder

    print(
        tcga_folder(
            options.folder,
            options.projects,
            seed=options.seed,
            data_dir=options.downloads,
            n_workers=options.workers,
        )
    )


def _bench(options: argparse.Namespace) -> None:
    from midgd.bench import ablation, run, write_ablation

    if options.ablation is not None:
        if options.arms or options.settings:
            raise ValueError("--ablation has methods and settings of its own: leave out --arms and --settings.")
        on = options.on or "val"
        found = ablation(options.data, on=on, seed=options.seed, n_boot=options.boot)
        print(write_ablation(found, options.ablation, on=on).read_text(encoding="utf-8"))
        return
    table = run(
        options.arms,
        options.settings,
        data_dir=options.data,
        on=options.on or "test",
        seed=options.seed,
        n_boot=options.boot,
        output=options.output,
    )
    print(
        table[table["metric"] == "spearman"].pivot(index="setting", columns="arm", values="value").round(3).to_string()
    )

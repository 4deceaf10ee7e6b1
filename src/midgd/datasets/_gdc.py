"""The open tier of the GDC: what files there are, and getting many of them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pandas as pd

from midgd.datasets import _http
from midgd.datasets._fetch import fetch_json, safe_name, unreachable
from midgd.settings import logger, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import requests

PAGE = 1000
CHECKSUM_ATTEMPTS = 2
FIELDS = (
    "file_id,file_name,md5sum,file_size,"
    "cases.submitter_id,cases.project.project_id,cases.samples.submitter_id,cases.samples.sample_type"
)
# data type -> workflow, in the words of the GDC
WORKFLOWS = {
    "Gene Expression Quantification": "STAR - Counts",
    "miRNA Expression Quantification": "BCGSC miRNA Profiling",
    "Isoform Expression Quantification": "BCGSC miRNA Profiling",
}


def _filters(projects: Sequence[str], data_type: str) -> dict[str, Any]:
    wanted = {
        "cases.project.project_id": list(projects),
        "data_type": [data_type],
        "analysis.workflow_type": [WORKFLOWS[data_type]],
        "access": ["open"],
    }
    return {
        "op": "and",
        "content": [{"op": "in", "content": {"field": field, "value": value}} for field, value in wanted.items()],
    }


def list_files(projects: Sequence[str], data_type: str, folder: Path, base_url: str) -> pd.DataFrame:
    """Ask for all open files of one kind of some projects.

    The pages are kept in ``folder / "listings"`` and serve when there is no network.

    Returns
    -------
    One row per file: ``file_id``, ``file_name``, ``md5sum``, ``file_size``, ``project``, ``patient``, ``sample``
    (with vial), ``sample_type``; sorted by sample and file id. Files of several samples are left out.
    """
    filters = _filters(projects, data_type)
    key = hashlib.sha256(json.dumps([base_url, filters, PAGE], sort_keys=True).encode()).hexdigest()[:16]
    hits: list[dict[str, Any]] = []
    total = 1
    while len(hits) < total:
        query = {"fields": FIELDS, "format": "JSON", "size": PAGE, "from": len(hits), "sort": "file_id:asc"}
        by_hand = f"{base_url}/files?" + urlencode({"filters": json.dumps(filters), **query})
        page = folder / "listings" / f"{key}-{len(hits)}.json"
        answer = fetch_json(f"{base_url}/files", page, payload={"filters": filters, **query}, by_hand=by_hand)
        data = answer["data"]
        total = data["pagination"]["total"]
        if not data["hits"]:
            break
        hits += data["hits"]
    rows = [row for hit in hits if (row := _row(hit))]
    columns = ["file_id", "file_name", "md5sum", "file_size", "project", "patient", "sample", "sample_type"]
    return pd.DataFrame(rows, columns=columns).sort_values(["sample", "file_id"], ignore_index=True)


def _row(hit: dict[str, Any]) -> dict[str, Any] | None:
    cases = hit.get("cases", [])  # the GDC leaves out what is empty
    samples = [sample for case in cases for sample in case.get("samples", [])]
    if len(samples) != 1:
        return None
    case, sample = cases[0], samples[0]
    return {
        **{name: hit[name] for name in ("file_id", "file_name", "md5sum", "file_size")},
        "project": case["project"]["project_id"],
        "patient": case["submitter_id"],
        "sample": sample["submitter_id"],
        "sample_type": sample["sample_type"],
    }


def path_of(file: pd.Series, folder: Path) -> Path:
    """``folder/<file id>/<file name>``: the layout of gdc-client, so that its downloads are found too."""
    return folder / safe_name(file["file_id"]) / safe_name(file["file_name"])


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _get_one(session: requests.Session, url: str, target: Path, md5: str) -> None:
    """Download to ``*.part``, going on where an earlier run stopped; rename when the checksum is right."""
    import requests

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for _ in range(CHECKSUM_ATTEMPTS):
        part.touch()
        try:
            with part.open("r+b") as file:
                _http.download(session, url, file)
        except requests.RequestException as error:
            if not part.stat().st_size:
                part.unlink()
            unreachable(url, target, error)
        if _md5(part) == md5:
            os.replace(part, target)
            return
        part.unlink()
    raise ValueError(
        f"{url} does not have the md5 {md5} that the GDC gives for it, also after {CHECKSUM_ATTEMPTS} downloads; "
        "nothing was kept. Try again later."
    )


def download_files(files: pd.DataFrame, folder: Path, base_url: str, n_workers: int) -> None:
    """Get the files that are not there yet; those that are there with the right md5 are left alone.

    Raises
    ------
    ConnectionError
        At the first file that cannot be had. Complete files stay, so the next call goes on from there.
    ValueError
        If a file never has the right md5.
    """
    from tqdm.auto import tqdm

    local = threading.local()

    def start() -> None:
        local.session = _http.http_session()  # a session is not made for several threads

    def get(file: pd.Series) -> None:
        target = path_of(file, folder)
        if not (target.exists() and _md5(target) == file["md5sum"]):
            _get_one(local.session, f"{base_url}/data/{file['file_id']}", target, file["md5sum"])

    began = time.monotonic()
    pool = ThreadPoolExecutor(n_workers, initializer=start)
    try:
        tasks = [pool.submit(get, file) for _, file in files.iterrows()]
        for task in tqdm(as_completed(tasks), total=len(tasks), unit="file", disable=not settings.progress):
            task.result()
    finally:
        pool.shutdown(cancel_futures=True)
    logger.info("%d files in %s, %.0f s", len(files), folder, time.monotonic() - began)

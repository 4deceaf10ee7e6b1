"""The open tier of the GDC: what files there are, and getting many of them."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pandas as pd

from midgd._checks import list_of, matching, record, text, whole
from midgd.download import http
from midgd.download.fetch import Checksum, fetch_json, get_file, safe_name
from midgd.settings import logger, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

# Files that are asked for at a time, and pages after which a server that never ends is given up.
PAGE, MAX_PAGES = 1000, 1000
MAX_FILE = 1 << 30  # bytes of one file
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


_SAMPLE = record({"submitter_id": text(), "sample_type": text()}, more=True)
_CASE = record(
    {"submitter_id": text(), "project": record({"project_id": text()}, more=True)},
    {"samples": list_of(_SAMPLE)},
    more=True,
)
_HIT = record(
    {
        "file_id": text(200),
        "file_name": text(200),
        "md5sum": matching(r"[0-9a-fA-F]{32}", "an md5"),
        "file_size": whole(0, MAX_FILE),
    },
    {"cases": list_of(_CASE)},
    more=True,
)
# What the GDC leaves out is empty.
ANSWER = record(
    {"data": record({"hits": list_of(_HIT, PAGE), "pagination": record({"total": whole(0)}, more=True)}, more=True)},
    more=True,
)


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
    for _ in range(MAX_PAGES):
        query = {"fields": FIELDS, "format": "JSON", "size": PAGE, "from": len(hits), "sort": "file_id:asc"}
        by_hand = f"{base_url}/files?" + urlencode({"filters": json.dumps(filters), **query})
        page = folder / "listings" / f"{key}-{len(hits)}.json"
        answer = fetch_json(
            f"{base_url}/files", page, check=ANSWER, payload={"filters": filters, **query}, by_hand=by_hand
        )
        data = answer["data"]
        hits += data["hits"]
        if not data["hits"] or len(hits) >= data["pagination"]["total"]:
            break
    else:
        raise ValueError(f"{base_url} lists more than {MAX_PAGES:,} pages of files; ask for fewer projects at a time.")
    rows = [row for hit in hits if (row := _row(hit))]
    columns = ["file_id", "file_name", "md5sum", "file_size", "project", "patient", "sample", "sample_type"]
    return pd.DataFrame(rows, columns=columns).sort_values(["sample", "file_id"], ignore_index=True)


def _row(hit: dict[str, Any]) -> dict[str, Any] | None:
    cases = hit.get("cases", [])
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
        local.session = http.http_session()  # a session is not made for several threads

    def get(file: pd.Series) -> None:
        checksum = Checksum("md5", file["md5sum"].lower())
        url, size = f"{base_url}/data/{file['file_id']}", max(int(file["file_size"]), 1)
        get_file(local.session, url, path_of(file, folder), checksum, longest=size)

    began = time.monotonic()
    pool = ThreadPoolExecutor(n_workers, initializer=start)
    try:
        tasks = [pool.submit(get, file) for _, file in files.iterrows()]
        for task in tqdm(as_completed(tasks), total=len(tasks), unit="file", disable=not settings.progress):
            task.result()
    finally:
        pool.shutdown(cancel_futures=True)
    logger.info("%d files in %s, %.0f s", len(files), folder, time.monotonic() - began)

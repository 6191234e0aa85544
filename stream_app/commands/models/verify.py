"""`moodstream models verify`: does a bundle keep what its manifest promises, on this machine?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import click
import numpy as np
from rich.text import Text

from schemas.bundle import BundleError, Manifest
from stream_app.commands.terminal import json_option, print_json, table
from stream_app.errors import SetupError
from stream_app.scoring.load import bundle_folder, load_scorer, manifest_of
from stream_app.scoring.scorer import ScoringError
from stream_app.scoring.storage import check_digests
from stream_app.text.model_input import ModelInput

if TYPE_CHECKING:
    from stream_app.scoring.model_scorer import ModelScorer

INVARIANCE = 1e-4
_MIB = 1024 * 1024
# For bundles without canary texts of their own: both languages, of different lengths.
SAMPLE = [
    ModelInput("好的", None),
    ModelInput("收到就是坏的，客服一直不理人，太差了！", "请您稍等"),
    ModelInput("Works well, though the strap is a little short.", None),
    ModelInput("thanks", None),
]


class Finding(NamedTuple):
    """One line: what was looked at, whether it is right, what was seen."""

    name: str
    ok: bool
    detail: str


@click.command("verify")
@click.argument("path")
@json_option
def verify(path: str, as_json: bool) -> None:
    """Load a bundle and check that it is what its manifest says.

    PATH is a bundle's folder or "default". Looked at: manifest and text version, hashes of the files, loading with the
    label map, canary scores (within 0.001), scores alone and in a batch (within 0.0001), load time and resident memory
    of the whole process. Exit code 0 if all of it is right, 2 if something is not; after a failure that leaves nothing
    to look at, the rest is not looked at.

    \b
    moodstream models verify default
    moodstream models verify bundles/mine-1 --json | jq .ok
    """
    findings = list(examine(bundle_folder(path)))
    if as_json:
        print_json({"ok": all(finding.ok for finding in findings), "checks": [each._asdict() for each in findings]})
    else:
        report(findings)
    refuse(findings)


def examine(folder: Path) -> Iterator[Finding]:
    """Finding after finding; ends early where nothing is left to look at. Loads the model, so it takes seconds."""
    # 1. The manifest and the version of its text.
    try:
        manifest = manifest_of(folder)
    except BundleError as wrong:
        yield Finding("manifest", False, str(wrong))
        return
    version = "trained on other text" if manifest.text_version is None else f"text version {manifest.text_version}"
    yield Finding("manifest", True, f"{manifest.name}, {version}")
    # 2. The files. A damaged one may still load, so that the rest is worth a look.
    yield _files(folder, manifest)
    # 3. Load: configuration, tokenizers, weights, label map.
    import_torch(manifest)
    began, before = time.perf_counter(), _resident()
    try:
        scorer = cast("ModelScorer", load_scorer(str(folder), remember=0))
    except BundleError as wrong:
        yield Finding("loads", False, str(wrong))
        return
    took = time.perf_counter() - began
    with closing(scorer):
        labels = ", ".join(f"{output} → {mood}" for output, mood in manifest.labels.items())
        yield Finding("loads", True, f"{', '.join(scorer.parts)}: {labels}")
        # 4. Its scores.
        yield _canary(scorer)
        yield _batches(scorer)
        # 5. What it costs.
        memory = _resident()
        resident = f"{memory / _MIB:.0f} MB resident, {(memory - before) / _MIB:.0f} of them the model's"
        yield Finding("costs", True, f"loaded in {took:.2f} s, {resident}")


def report(findings: list[Finding]) -> None:
    marks = {True: Text("✓ ok", "green"), False: Text("✗ wrong", "bold red")}
    table(("", "check", "seen"), [(marks[finding.ok], finding.name, finding.detail) for finding in findings])


def refuse(findings: list[Finding]) -> None:
    """Raises SetupError when one of them is not right."""
    wrong = [finding.name for finding in findings if not finding.ok]
    if wrong:
        raise SetupError(f"{len(wrong)} of {len(findings)} are not right: {', '.join(wrong)}")


def _files(folder: Path, manifest: Manifest) -> Finding:
    try:
        check_digests(folder, manifest)
    except BundleError as wrong:
        return Finding("hashes", False, str(wrong))
    recorded = f"{len(manifest.weights)} files as recorded" if manifest.weights else "none recorded, nothing to compare"
    return Finding("hashes", True, recorded)


def _canary(scorer: ModelScorer) -> Finding:
    try:
        scorer.check_canary()
    except ScoringError as wrong:
        return Finding("canary", False, str(wrong))
    count = len(scorer.manifest.canary)
    return Finding("canary", True, f"{count} texts score as recorded" if count else "none recorded, it answers")


def _batches(scorer: ModelScorer) -> Finding:
    texts = [ModelInput(text.text, text.context) for text in scorer.manifest.canary] or SAMPLE
    try:
        together = np.array(scorer.score(texts))
        alone = np.array([scorer.score([text])[0] for text in texts])
    except ScoringError as wrong:
        return Finding("batches", False, str(wrong))
    worst = float(np.abs(together - alone).max())
    return Finding("batches", worst <= INVARIANCE, f"alone and together differ by {worst:.0e} at most")


def import_torch(manifest: Manifest) -> None:
    """Before the clock runs: it takes seconds, whatever the bundle."""
    if manifest.architecture == "bert-packed":
        import stream_app.scoring.bert

        return
    import transformers

    import stream_app.scoring.transformer  # noqa: F401

    transformers.utils.logging.disable_progress_bar()  # it draws one for every load, over what we print


def _resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

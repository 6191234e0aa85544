from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.tiny import tiny_base, tiny_bundle


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("model") / "base")


@pytest.fixture(scope="session")
def shared_bundle(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read it, do not change it: `bundle` is for that."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", base)


@pytest.fixture
def bundle(base: Path, tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny", base)

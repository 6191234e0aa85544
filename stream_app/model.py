"""The configured model, for the worker and for commands that score without a stream."""

from schemas.bundle import BundleError
from stream_app.errors import SetupError
from stream_app.scoring.load import load_scorer
from stream_app.scoring.scorer import CanaryFailed, LoadedScorer
from stream_app.settings import Settings


def load_model(settings: Settings) -> LoadedScorer:
    """Loaded, and its canary passed. Raises SetupError with one readable line."""
    try:
        scorer = load_scorer(settings.model, threads=settings.scoring_threads, token_budget=settings.token_budget)
        try:
            scorer.check_canary()
        except BaseException:
            scorer.close()
            raise
    except (BundleError, CanaryFailed) as wrong:
        raise SetupError(f"model {settings.model}: {wrong}") from wrong
    return scorer

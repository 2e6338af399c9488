"""What an error of Azure's means for a part of an object that may fail without the rest."""

from gallery_operator.azure.errors import AzureError
from gallery_operator.planning.access import Problem
from gallery_operator.planning.outcome import STALLED_RECHECK_SECONDS, Retry, Stalled
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import camel, from_azure


def retry_seconds(ctx: Context) -> float:
    """Return the seconds until the next look at what passes by itself: share operations take about a minute."""
    return 2.0 * ctx.settings.poll_seconds


def needs_a_person(error: AzureError) -> bool:
    """Whether only a person can mend an error."""
    return isinstance(from_azure(error), Stalled)


def problem_of(ctx: Context, what: str, error: AzureError, advice: str = "") -> Problem:
    """Describe an error as a problem.

    Args:
        ctx: Context.
        what: What did not work, as the beginning of a sentence.
        error: Why.
        advice: What else to do next.
    """
    outcome = from_azure(error)
    delay = retry_seconds(ctx)
    if isinstance(outcome, Stalled):
        delay = STALLED_RECHECK_SECONDS
    elif isinstance(outcome, Retry):
        delay = max(delay, outcome.at_least)
    message = f"{what}: {error.message.rstrip(' .')}. {error.next_step}{advice}".strip()
    return Problem(camel(error.code), message, delay)

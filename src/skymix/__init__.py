"""Batch Bayesian mixture inference for astronomy."""

from functools import cache

__version__ = "0.1.0"


@cache
def git_commit() -> str:
    """Commit of the checkout that this package runs from, empty if it is not one."""
    import subprocess
    from pathlib import Path

    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return ""
    found = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()

"""The built-in stage ``report``: asks for a report of the experiment, which is rendered once all runs have ended.

It only asks: a report is made from the read model, by whoever keeps that.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

import crucible as cr


@cr.stage(scope="experiment", name="report")
def report(
    run: cr.Run,
    *,
    formats: Annotated[
        list[Literal["html", "md", "tex", "ipynb", "csv", "json"]],
        Field(min_length=1, description="formats of the report"),
    ] = ["html"],  # noqa: B006  options are never changed
) -> None:
    """Ask for a report of the experiment at its end."""
    run.request_report(formats)

"""What the assets share: the lake, and the candidate mart of their run."""

import dagster as dg

from data.lake import Lake
from pipelines.build import Candidate


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """``data_dir``: the data directory of the installation."""

    data_dir: str

    def lake(self) -> Lake:
        return Lake(self.data_dir).create()

    def candidate(self, run_id: str) -> Candidate:
        """The unpublished mart that the steps of one run fill together."""
        return Candidate(self.lake(), run_id)

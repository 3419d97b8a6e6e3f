"""A fleet that is broken at random keeps its word; the short form of `make chaos`."""

import os
import sys
import unittest

from fixture import REPO, remote_only

sys.path.insert(0, str(REPO / "Tests" / "Chaos"))

from campaign import Campaign  # noqa: E402

SEED, FAULTS = int(os.environ.get("CHAOS_SEED", "1")), int(os.environ.get("CHAOS_FAULTS", "24"))


@remote_only
class Chaos(unittest.TestCase):
    maxDiff = None

    def test_exclusive_work_runs_once_nothing_is_lost_and_every_list_is_true(self):
        campaign = Campaign(SEED, FAULTS, shown=False)
        self.addCleanup(campaign.fleet.down)
        if campaign.run():
            folder = REPO / ".build" / "chaos" / str(SEED)
            campaign.fleet.keep_logs(folder)
            self.fail(f"{campaign.report()}\nlogs are kept in {folder}")
        self.assertGreater(len(campaign.witness.runs), 10, "hardly anything ran")

"""Ten times the load that a server keeps up with; `make faults ARGS=overload` has the figures."""

from tests.faults.cases import Stage
from tests.faults.overload import BATCHES, KEYS, overload


def test_under_ten_times_the_load_nobody_hangs_and_what_is_accepted_is_there(stage: Stage) -> None:
    found = overload(stage, 3, warm_s=1)

    assert found.over.statuses.keys() == {204, 429}
    assert (found.over.hanging, found.over.without_retry_after, sum(found.over.broken.values())) == (0, 0, 0)
    assert found.full.statuses.keys() == found.after.statuses.keys() == {204}
    once = found.full.statuses[204] + found.after.statuses[204]
    assert once < found.stored / KEYS <= once + min(BATCHES, found.over.statuses[204])
    assert found.peak_mib < 600

from netra_sim.checks.residue import no_residue
from tests.checks.story import about, cannot_tell, convicts, good, passes, renamed, told, without

CHECK = no_residue()


def test_nothing_left_passes():
    passes(CHECK, good())


def test_anything_left_is_convicted_and_shown():
    left = [{"toxic": "stall", "proxy": "r/postgres"}, {"stopped": "worker-1"}]
    verdict = convicts(CHECK, told(good(), about("residue"), left=left), "2 things left behind: {'toxic': 'stall'")
    assert [facts["left"] for facts in verdict.evidence] == left


def test_nobody_looked_is_unknown():
    cannot_tell(CHECK, without(good(), about("residue")))
    cannot_tell(CHECK, renamed(good(), about("residue"), actor="user-1"))

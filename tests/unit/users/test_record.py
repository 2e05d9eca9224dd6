"""Every op that begins gets one completion."""

from netra_sim.kernel.clock import ManualClock
from netra_sim.kernel.history import HistoryWriter
from netra_sim.users import wire
from netra_sim.users.record import Actor


def test_the_first_end_counts_and_open_ops_end_unknown():
    writer = HistoryWriter(ManualClock())
    actor = Actor(writer, "user-1")
    done, lost = actor.invoke("login", email="e"), actor.invoke("send", message_id="m")
    done.ok(user_id="u")
    done.fail("late", "too late to count")
    actor.close("session_ended", "bye")
    actor.close("session_ended", "again")
    login, send = writer.freeze().ops()
    assert (login.outcome, login.result) == ("ok", {"user_id": "u"})
    assert (send.outcome, send.result["code"]) == ("unknown", "session_ended")
    assert len([r for r in writer.freeze().records if r.id == send.id]) == 2
    assert lost.id == send.id


def test_a_frame_is_written_as_the_contract_lists_it():
    writer = HistoryWriter(ManualClock())
    data = {"agent_name": "data", "tool_name": "usage", "call_id": "c1", "status": "running"}
    frame = wire.Frame("tool_executing", 4, "r", 2, "t", data)
    Actor(writer, "user-1").frame(frame, user_id="u", connection="k", foreign=[], replayed=False)
    (record,) = writer.freeze().seen("frame")
    assert record.value == {
        "type": "tool_executing",
        "seq": 4,
        "run_id": "r",
        "run_seq": 2,
        "thread_id": "t",
        "agent": "data",
        "status": "running",
        "tool": "usage",
        "call": "c1",
        "user_id": "u",
        "connection": "k",
        "foreign": [],
        "replayed": False,
    }

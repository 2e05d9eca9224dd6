"""Known defects for control runs: each is a function from the production parts to defective ones.

A worker started with `NETRA_PARTS=netra_sim.defects:event_dropped` has that one defect; the backend knows of none.
"""

from netra_sim.defects.agents import (
    answer_not_stored,
    canary_leaked,
    dependencies_ignored,
    event_forgotten,
    one_route_for_all,
    price_table_stale,
    schema_ignored,
    steps_in_sequence,
    transition_skipped,
)
from netra_sim.defects.cache import cache_required, redis_given_up, redis_only_fanout, replay_incomplete
from netra_sim.defects.model import model_given_up, naive_model_client
from netra_sim.defects.repeats import every_commit_retried, idempotency_removed
from netra_sim.defects.sockets import (
    event_dropped,
    event_sent_twice,
    replay_forgotten,
    standing_forgotten,
    subprotocol_ignored,
    token_not_checked,
    welcome_without_limits,
)
from netra_sim.defects.storage import (
    acknowledged_before_commit,
    connections_leaked,
    dead_connections_kept,
    stream_not_kept,
)

__all__ = [
    "acknowledged_before_commit",
    "answer_not_stored",
    "cache_required",
    "canary_leaked",
    "connections_leaked",
    "dead_connections_kept",
    "dependencies_ignored",
    "event_dropped",
    "event_forgotten",
    "event_sent_twice",
    "every_commit_retried",
    "idempotency_removed",
    "model_given_up",
    "naive_model_client",
    "one_route_for_all",
    "price_table_stale",
    "redis_given_up",
    "redis_only_fanout",
    "replay_forgotten",
    "replay_incomplete",
    "schema_ignored",
    "standing_forgotten",
    "steps_in_sequence",
    "stream_not_kept",
    "subprotocol_ignored",
    "token_not_checked",
    "transition_skipped",
    "welcome_without_limits",
]

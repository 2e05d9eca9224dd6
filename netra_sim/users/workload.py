"""A tenant's log of model calls: seeded, diurnal, heavy-tailed; and what a recomputation of it must give.

The log is drawn with numpy, so that 50,000 rows take some milliseconds, and packed as ClickHouse's RowBinary. Money is
in whole nano-dollars: sums are exact.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netra_sim.kernel.rng import Rng
from netra_sim.users.persona import Account

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Nano-dollars a token, in and out, and the next cheaper model whose answers are as good for simple requests.
PRICES = {"netra-large": (10_000, 30_000), "netra-medium": (3_000, 9_000), "netra-small": (750, 2_250)}
CHEAPER = {"netra-large": "netra-medium", "netra-medium": "netra-small"}
MODELS, SHARES = tuple(PRICES), (0.2, 0.3, 0.5)
SIMPLE = 500  # tokens in and out up to which a request is simple
DAYS = {"full": 30, "partial": 15, "none": 3}  # of data, by how complete it is
LAST_DAY = 1_769_817_600  # 2026-01-31T00:00Z, seconds: the log does not depend on when it is made
OUTCOMES, CHANCES = ("ok", "error", "timeout"), (0.97, 0.02, 0.01)
# How busy each hour of the day is.
HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 10, 11, 12, 12, 11, 9, 7, 6, 5, 4, 3, 2)
COLUMNS = ("user_id", "at", "model", "project", "tokens_in", "tokens_out", "latency_ms", "cost_nanos", "outcome")
TABLE = """
CREATE TABLE workload (
    user_id UUID, at DateTime('UTC'), model LowCardinality(String), project LowCardinality(String),
    tokens_in UInt32, tokens_out UInt32, latency_ms UInt32, cost_nanos UInt64, outcome LowCardinality(String)
) ENGINE = MergeTree ORDER BY (user_id, at)
"""
PRICE_TABLE = """
CREATE TABLE prices (model String, input_nanos UInt64, output_nanos UInt64, cheaper String)
ENGINE = MergeTree ORDER BY model
"""


@dataclass(frozen=True)
class Log:
    """One tenant's calls, a column each; `model` and `outcome` are places in MODELS and OUTCOMES, `at` in seconds."""

    user_id: str
    project: str
    data: str
    at: NDArray[np.uint32]
    model: NDArray[np.uint8]
    tokens_in: NDArray[np.uint32]
    tokens_out: NDArray[np.uint32]
    latency_ms: NDArray[np.uint32]
    cost_nanos: NDArray[np.uint64]
    outcome: NDArray[np.uint8]


def user_id(rng: Rng, account: Account) -> str:
    """The id that the row of a seeded account will have."""
    return str(uuid.UUID(int=rng.child("user", account.number).stream("id").getrandbits(128), version=4))


def log(rng: Rng, account: Account, owner: str, rows: int) -> Log:
    """The log of an account whose user id is `owner`: `rows` calls over the days that its kind of data has."""
    import numpy as np

    draw = np.random.default_rng(rng.child("user", account.number, "workload").digest())
    days = DAYS[account.data]
    day = draw.permutation(np.arange(rows) % days)  # each day has some
    hour = draw.choice(24, rows, p=np.array(HOURS) / sum(HOURS))
    at = LAST_DAY + 86_400 * (1 - days + day) + 3_600 * hour + draw.integers(0, 3_600, rows)
    model = draw.choice(len(MODELS), rows, p=SHARES).astype(np.uint8)
    tokens_in = np.minimum(draw.lognormal(5.6, 1.1, rows), 100_000).astype(np.uint32) + 1
    tokens_out = np.minimum(draw.lognormal(4.6, 0.9, rows), 8_000).astype(np.uint32) + 1
    slow = np.array([18.0, 9.0, 4.0])[model]  # milliseconds a token
    latency = 150 + tokens_out * slow * draw.lognormal(0, 0.35, rows)
    prices = np.array(list(PRICES.values()), dtype=np.uint64)[model]
    cost = tokens_in.astype(np.uint64) * prices[:, 0] + tokens_out.astype(np.uint64) * prices[:, 1]
    outcome = draw.choice(len(OUTCOMES), rows, p=CHANCES).astype(np.uint8)
    return Log(
        owner, f"workspace {account.canary}", account.data, at.astype(np.uint32), model, tokens_in, tokens_out,
        latency.astype(np.uint32), cost, outcome,
    )  # fmt: skip


def packed(of: Log) -> bytes:
    """The log as RowBinary in the order of COLUMNS; a string is its length, then its bytes."""
    import numpy as np

    own, models, outcomes = of.project.encode(), [m.encode() for m in MODELS], [o.encode() for o in OUTCOMES]
    high, low = divmod(uuid.UUID(of.user_id).int, 1 << 64)
    parts = []
    for place, model in enumerate(models):
        for other, outcome in enumerate(outcomes):
            chosen = (of.model == place) & (of.outcome == other)
            table = np.empty(
                int(chosen.sum()),
                dtype=[
                    ("high", "<u8"), ("low", "<u8"), ("at", "<u4"),
                    ("model_length", "u1"), ("model", f"S{len(model)}"), ("own_length", "u1"), ("own", f"S{len(own)}"),
                    ("tokens_in", "<u4"), ("tokens_out", "<u4"), ("latency_ms", "<u4"), ("cost_nanos", "<u8"),
                    ("outcome_length", "u1"), ("outcome", f"S{len(outcome)}"),
                ],
            )  # fmt: skip
            table["high"], table["low"] = high, low
            for name in ("at", "tokens_in", "tokens_out", "latency_ms", "cost_nanos"):
                table[name] = getattr(of, name)[chosen]
            for name, text in (("model", model), ("own", own), ("outcome", outcome)):
                table[f"{name}_length"], table[name] = len(text), text
            parts.append(table.tobytes())
    return b"".join(parts)


def facts(of: Log) -> dict[str, Any]:
    """What every figure about the log must come from, summed up here and not by the store."""
    import numpy as np

    simple = of.tokens_in + of.tokens_out <= SIMPLE
    models = {}
    for place, name in enumerate(MODELS):
        mine = of.model == place
        models[name] = {
            "requests": int(mine.sum()),
            "tokens_in": int(of.tokens_in[mine].sum(dtype=np.uint64)),
            "tokens_out": int(of.tokens_out[mine].sum(dtype=np.uint64)),
            "cost_nanos": int(of.cost_nanos[mine].sum()),
            "simple_in": int(of.tokens_in[mine & simple].sum(dtype=np.uint64)),
            "simple_out": int(of.tokens_out[mine & simple].sum(dtype=np.uint64)),
        }
    ordered = np.sort(of.latency_ms)
    return {
        "user_id": of.user_id, "data": of.data, "days": DAYS[of.data], "models": models,
        "prices": {name: list(price) for name, price in PRICES.items()}, "cheaper": CHEAPER,
        "p95_ms": int(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]),
    }  # fmt: skip


async def prepare(url: str) -> None:
    """Make the tables in the empty database that `url` names, with the price table's rows."""
    import clickhouse_connect

    async with await clickhouse_connect.get_async_client(dsn=url, compress=False) as client:
        for table in (TABLE, PRICE_TABLE):
            await client.command(table)
        rows = [(name, *price, CHEAPER.get(name, "")) for name, price in PRICES.items()]
        await client.insert("prices", rows, column_names=["model", "input_nanos", "output_nanos", "cheaper"])


async def load(url: str, logs: Sequence[Log]) -> None:
    """Write logs into a prepared database, past the platform."""
    import clickhouse_connect

    if logs:
        async with await clickhouse_connect.get_async_client(dsn=url, compress=False) as client:
            await client.raw_insert("workload", COLUMNS, b"".join(map(packed, logs)), fmt="RowBinary")

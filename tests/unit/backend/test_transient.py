import asyncpg
import pytest
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from netra_sim.backend.store import database, redis


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (asyncpg.ConnectionDoesNotExistError(), True), (asyncpg.CannotConnectNowError(), True),
        (asyncpg.AdminShutdownError(), True), (asyncpg.CrashShutdownError(), True),
        (asyncpg.TooManyConnectionsError(), True), (asyncpg.SerializationError(), True),
        (asyncpg.DeadlockDetectedError(), True), (ConnectionRefusedError(), True), (TimeoutError(), True),
        (asyncpg.InterfaceError("connection is closed"), True), (asyncpg.InterfaceError("wrong argument"), False),
        (asyncpg.UniqueViolationError(), False), (asyncpg.UndefinedTableError(), False), (KeyError(), False),
    ],
)  # fmt: skip
def test_postgres(error: Exception, again: bool):
    assert database.transient(error) == again


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionError(), True), (RedisTimeout(), True), (TimeoutError(), True), (OSError(), True),
        (BusyLoadingError("data"), True), (ReadOnlyError("You can't write against a read only replica."), True),
        (OutOfMemoryError("command not allowed"), True), (MasterDownError("link"), True),
        (ResponseError("BUSY a script"), True), (ResponseError("MISCONF snapshots"), True),
        (ResponseError("WRONGTYPE operation"), False), (ResponseError("ERR unknown command"), False),
        (KeyError(), False),
    ],
)  # fmt: skip
def test_redis(error: Exception, again: bool):
    assert redis.transient(error) == again

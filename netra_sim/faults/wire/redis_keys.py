"""Where the keys of a Redis command are: the key specifications of its documents, where it is not the first word."""

from __future__ import annotations

from collections.abc import Sequence


def _names(text: str) -> list[str]:
    return text.split()


NONE = frozenset(
    _names("""
    ACL ASKING AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND COMMANDLOG CONFIG DBSIZE DISCARD ECHO EXEC FAILOVER
    FLUSHALL FLUSHDB FUNCTION HELLO INFO KEYS LASTSAVE LATENCY LOLWUT MODULE MONITOR MULTI PING PSUBSCRIBE PSYNC PUBLISH
    PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE REPLCONF REPLICAOF RESET ROLE SAVE SCAN SCRIPT SELECT
    SENTINEL SHUTDOWN SLAVEOF SLOWLOG SUBSCRIBE SWAPDB SYNC TIME UNSUBSCRIBE UNWATCH WAIT WAITAOF""")
)
_Span = tuple[int, int, int]  # first word, last word (negative: from the end), step
FIRST: _Span = (1, 1, 1)
SPANS: dict[str, _Span] = {
    **dict.fromkeys(
        _names("""
        DEL UNLINK EXISTS TOUCH MGET WATCH PFCOUNT PFMERGE SINTER SUNION SDIFF SINTERSTORE SUNIONSTORE SDIFFSTORE
        SSUBSCRIBE SUNSUBSCRIBE"""),
        (1, -1, 1),
    ),
    **dict.fromkeys(["MSET", "MSETNX"], (1, -1, 2)),
    **dict.fromkeys(["BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX"], (1, -2, 1)),
    **dict.fromkeys(
        _names("""RENAME RENAMENX COPY LMOVE BLMOVE RPOPLPUSH BRPOPLPUSH SMOVE LCS GEOSEARCHSTORE ZRANGESTORE"""),
        (1, 2, 1),
    ),
    "BITOP": (2, -1, 1),
    **dict.fromkeys(["OBJECT", "MEMORY", "DEBUG", "XINFO", "XGROUP"], (2, 2, 1)),
}
COUNTED = {  # the word that tells how many keys follow it
    **dict.fromkeys(["SINTERCARD", "ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD", "LMPOP", "ZMPOP"], 1),
    **dict.fromkeys(
        _names("""EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO BLMPOP BZMPOP ZUNIONSTORE ZINTERSTORE ZDIFFSTORE"""), 2
    ),
}
STORES = frozenset(["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"])  # their first word is a key, too


def keys(command: str, words: Sequence[bytes]) -> Sequence[bytes]:
    """The keys of a command of these words, the command's name being the first; unknown commands have one key."""
    if command in NONE:
        return ()
    if command in COUNTED:
        return _counted(command, words)
    if command in ("XREAD", "XREADGROUP"):
        return _streams(words)
    if command == "MIGRATE":
        return _migrated(words)
    first, last, step = SPANS.get(command, FIRST)
    return words[first : len(words) + last + 1 if last < 0 else last + 1 : step]


def _counted(command: str, words: Sequence[bytes]) -> Sequence[bytes]:
    at = COUNTED[command]
    count = words[at] if len(words) > at else b""
    stored = words[1:2] if command in STORES else words[:0]
    return [*stored, *words[at + 1 : at + 1 + int(count)]] if count.isdigit() and len(count) < 8 else stored


def _streams(words: Sequence[bytes]) -> Sequence[bytes]:
    """Behind STREAMS come the keys, then as many ids."""
    at = next((i for i, word in enumerate(words) if word.upper() == b"STREAMS"), len(words))
    behind = words[at + 1 :]
    return behind[: len(behind) // 2]


def _migrated(words: Sequence[bytes]) -> Sequence[bytes]:
    at = next((i for i, word in enumerate(words) if word.upper() == b"KEYS"), len(words))
    return words[at + 1 :] or words[3:4]

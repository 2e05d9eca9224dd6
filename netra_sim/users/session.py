"""One user's life: sign in, connect, ask, read, lose the connection, come back, leave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from netra_sim.kernel.history import HistoryWriter, Outcome
from netra_sim.kernel.rng import Rng
from netra_sim.users import wire
from netra_sim.users.api import Api, Settings, Told
from netra_sim.users.dial import Failure, probe
from netra_sim.users.line import Line
from netra_sim.users.persona import Account, Intent, Persona, Say
from netra_sim.users.record import Actor, Op

T = TypeVar("T")
Bring = Callable[[Account, str], Awaitable[None]]


_OFFLINE = "connection_lost"


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a message: ok with a run id, refused with a code, or unknown."""

    outcome: Outcome
    run_id: str | None = None
    code: str = ""
    message: str = ""
    retry_after_s: float | None = None


class _Left(Exception):
    """The user did not wait for the answer."""


class Session:
    """A user's session; everything is opened in `run`, so that thousands can be planned at no cost."""

    def __init__(
        self, who: Persona, settings: Settings, history: HistoryWriter, rng: Rng, bring: Bring | None = None
    ) -> None:
        """`rng` gives the jitter of reconnects; think times go by the history's clock.

        `bring` imports the workload log of an account that has just been opened, by its user id.
        """
        self._who, self._settings, self._clock = who, settings, history.clock
        self._actor = Actor(history, who.account.name)
        self._chances = rng.child("user", who.account.number).stream("reconnect")
        self._api = Api(settings, who.account, self._actor, self._clock)
        self._line = Line(
            settings=settings,
            who=who,
            api=self._api,
            actor=self._actor,
            clock=self._clock,
            chances=self._chances,
            on_frame=self._on_frame,
            on_offline=self._on_offline,
        )
        self._bring = bring
        self._awaited: set[str] = set()  # messages whose end he has not been told
        self._threads: set[str] = set()  # those that exist: the first accepted message creates one
        self._replies: dict[str, asyncio.Future[Reply]] = {}
        self._ends: dict[str, asyncio.Future[wire.Frame]] = {}

    async def run(self) -> None:
        """Live the whole plan; whatever the platform does ends up in the history, never in an exception."""
        try:
            if not await self._sign_in():
                return
            if self._bring is not None and self._who.signs_up:
                with self._actor.history.op(self._actor.name, "import_log"):
                    await self._bring(self._who.account, self._api.user_id)
            for intent in self._who.probes:
                await probe(self._settings, self._actor, self._api.token, intent)
            await self._online()
            if self._who.logs_out:
                await self._api.logout()
        finally:
            self._actor.close("session_ended", "the user's session was ended before the answer")
            await self._api.aclose()

    def drop(self) -> None:
        """Break the connection without a word, as a lost network does; the user then comes back."""
        self._line.drop()

    async def _sign_in(self) -> bool:
        """Try to sign in as often as a client reconnects; False when it is of no use to go on."""
        new = self._who.signs_up
        for attempt in range(wire.TRIES):
            told = await (self._api.signup() if new else self._api.login())
            if told.outcome == "ok":
                return True
            if new and told.status == 409:
                new = False  # an earlier attempt whose answer was lost did open the account
                continue
            if _final(told):
                return False
            pause = wire.backoff(attempt, self._chances.random()) * self._settings.time_scale
            await self._clock.sleep(max(pause, told.retry_after_s))
        return False

    async def _online(self) -> None:
        """Live the intents beside the line; when the line is gone for good, the rest is left."""
        try:
            async with asyncio.TaskGroup() as group:
                line = group.create_task(self._line.run())
                life = group.create_task(self._live())
                await asyncio.wait((line, life), return_when=asyncio.FIRST_COMPLETED)
                line.cancel()
                life.cancel()
        finally:
            if self._awaited:
                self._line.left()
        if not line.cancelled():
            gone: Failure = line.result()
            self._actor.close(gone.name, gone.message)

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as chats:
            hurried = False
            for intent in self._who.intents:
                await self._clock.sleep(0 if hurried else intent.think_s * self._settings.time_scale)
                await self._do(intent, chats)
                hurried = isinstance(intent, Say) and intent.burst

    async def _do(self, intent: Intent, chats: asyncio.TaskGroup) -> None:
        if isinstance(intent, Say):
            chat = chats.create_task(self._chat(intent))
            if self._who.waits and not intent.burst:
                await chat
        elif intent.thread_id in self._threads:
            await self._api.read_thread(intent.thread_id)

    async def _chat(self, said: Say) -> None:
        """Ask a question and wait for the end of its run."""
        chat = self._actor.invoke("chat", message_id=said.message_id)
        self._awaited.add(said.message_id)
        try:
            async with asyncio.timeout(self._settings.patience * self._settings.chat_deadline_s):
                await self._line.up.wait()
                if said.drop_after_s is not None:  # counted from a line that is up: another has nothing to break
                    delay = said.drop_after_s * self._settings.time_scale
                    asyncio.get_running_loop().call_later(delay, self._line.drop)
                reply = await self._send(said)
                end = await self._answer(said, reply.run_id) if reply.run_id else None
        except _Left:
            chat.unknown("abandoned", "the user left before the answer", abandoned=True)
            return
        except TimeoutError:
            chat.unknown("timeout", "the run did not end")
            return
        if end is not None:
            self._awaited.discard(said.message_id)
            _tell_end(chat, end)
            await self._line.acknowledge()
        elif reply.outcome == "fail":
            self._awaited.discard(said.message_id)
            chat.fail(reply.code, reply.message)
        else:
            chat.unknown(reply.code, reply.message)

    async def _answer(self, said: Say, run_id: str) -> wire.Frame:
        """The end of a run; _Left when the user goes before it."""
        if said.abandon_after_s is None:
            return await self._end_of(run_id)
        try:
            async with asyncio.timeout(said.abandon_after_s * self._settings.time_scale):
                return await self._end_of(run_id)
        except TimeoutError as error:
            raise _Left from error

    async def _send(self, said: Say) -> Reply:
        """Send until the server answers; a refusal that names a time is tried again then, under the same message_id."""
        refused = 0
        while True:
            await self._line.up.wait()
            reply = await self._send_once(said)
            if reply.code == _OFFLINE:
                continue
            refused += 1
            if reply.retry_after_s is None or refused >= self._settings.send_tries:
                return reply
            await self._clock.sleep(reply.retry_after_s)

    async def _send_once(self, said: Say) -> Reply:
        """One op: the message goes out, and again if the line is lost and comes back at once."""
        op = self._actor.invoke(
            "send", message_id=said.message_id, thread_id=said.thread_id, deadline_s=self._settings.deadline_s
        )
        frame = wire.chat_message(said.message_id, said.thread_id, said.text, time.time())
        coming = self._replies[said.message_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._settings.wait_s):
                await self._line.say(said.message_id, frame)
                reply: Reply = await coming
        except TimeoutError:
            reply = Reply("unknown", code="timeout", message="no answer to the message")
        finally:
            del self._replies[said.message_id]
            self._line.answered(said.message_id)
        if reply.outcome == "ok":
            self._threads.add(said.thread_id)
            op.ok(run_id=reply.run_id, message_id=said.message_id)
        elif reply.outcome == "fail":
            op.fail(reply.code, reply.message)
        else:
            op.unknown(reply.code, reply.message)
        return reply

    def _on_frame(self, frame: wire.Frame) -> None:
        """Hand a frame to whoever waits for it; a second one of the same kind changes nothing."""
        if frame.ends_run and frame.run_id:
            _set(self._end_of(frame.run_id), frame)
        elif frame.type == "message_accepted":
            message_id, run_id = str(frame.data.get("message_id")), frame.data.get("run_id") or frame.run_id
            self._reply(message_id, Reply("ok", str(run_id)))
        elif frame.type == "error":
            # Where the server could not tell which message it was, it was the one under way.
            message_id = str(frame.data.get("message_id") or next(iter(self._replies), ""))
            code, retry = frame.code or frame.data.get("code"), frame.data.get("retry_after_s")
            message = frame.message or str(frame.data.get("message") or "")
            told = Reply("fail", code=str(code), message=message, retry_after_s=None if retry is None else float(retry))
            self._reply(message_id, told)

    def _on_offline(self) -> None:
        """The line did not come back at once: what is not answered is unknown; it is sent again when it does."""
        for message_id in self._replies:
            self._reply(message_id, Reply("unknown", code=_OFFLINE, message="the connection was lost"))

    def _reply(self, message_id: str, reply: Reply) -> None:
        if message_id in self._replies:
            _set(self._replies[message_id], reply)

    def _end_of(self, run_id: str) -> asyncio.Future[wire.Frame]:
        if run_id not in self._ends:
            self._ends[run_id] = asyncio.get_running_loop().create_future()
        return self._ends[run_id]


def _tell_end(chat: Op, end: wire.Frame) -> None:
    """Complete a chat by the supervisor's last event."""
    data, result = end.data, end.data.get("result")
    status = str(data.get("status") or end.type.removeprefix("agent_"))
    if end.type == "agent_completed":
        told = result if isinstance(result, dict) else {}
        facts = {"partial": bool(told.get("partial")), "missing": told.get("missing") or [], "by": told.get("by")}
        chat.ok(run_id=end.run_id, status=status, **facts)
    else:
        code, message = str(data.get("code") or end.type), str(data.get("message") or data.get("reason") or "")
        chat.fail(code, message, run_id=end.run_id, status=status)


def _set(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _final(told: Told) -> bool:
    """Whether asking again cannot help: the server refused the credentials or the request itself."""
    return told.outcome == "fail" and told.status is not None and told.status not in (429, 503)

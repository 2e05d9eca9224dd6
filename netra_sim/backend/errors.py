"""The error catalogue: every code a user can meet, with its HTTP status, sentence and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: HTTP status, close code of a socket it ends (0: the socket stays open), sentence, remedy."""

    status: int
    close: int
    sentence: str
    remedy: str


CATALOGUE: dict[str, Entry] = {
    "no_token": Entry(401, 4401, "You are not signed in.", "Sign in and send the access token."),
    "token_expired": Entry(401, 4402, "Your access token has expired.", "Refresh it and try again."),
    "token_invalid": Entry(401, 4403, "The access token is not valid.", "Sign in again."),
    "session_revoked": Entry(401, 4403, "This session was signed out.", "Sign in again."),
    "token_reused": Entry(401, 4403, "This refresh token was used before; the session is closed.", "Sign in again."),
    "wrong_credentials": Entry(401, 0, "E-mail or password is wrong.", "Check both and try again."),
    "email_taken": Entry(409, 0, "An account with this e-mail exists.", "Sign in, or use another e-mail."),
    "bad_request": Entry(422, 0, "The request is not valid.", "Correct the named field."),
    "not_found": Entry(404, 0, "There is nothing here under that name.", "Check the address."),
    "wrong_method": Entry(405, 0, "This address does not take that method.", "Check the method."),
    "forbidden": Entry(403, 0, "This belongs to another user.", "Use a thread of your own."),
    "bad_frame": Entry(400, 0, "The frame is not valid.", "Correct the named field and send it again."),
    "unknown_type": Entry(400, 0, "The frame's type is not known.", "Use one of the types in data.known."),
    "not_resumed": Entry(400, 0, "The first frame must be `resume`.", "Send resume with the last seq you saw."),
    "message_too_large": Entry(413, 4413, "The message is larger than your tier allows.", "Send a shorter message."),
    "rate_limited": Entry(429, 0, "You have sent too many messages this minute.", "Wait, then send it again."),
    "too_many_runs": Entry(503, 0, "All agents are busy.", "Send the message again in a moment."),
    "minimal_service": Entry(503, 0, "Too much of the service is down.", "Send it again after the stated time."),
    "store_unavailable": Entry(503, 0, "We cannot store this right now.", "Try again after the stated time."),
    "outcome_unknown": Entry(504, 0, "We cannot tell whether this was stored.", "Look whether it was, then try again."),
    "model_unavailable": Entry(503, 0, "The language model does not answer.", "Try again in a minute."),
    "auth_timeout": Entry(401, 4408, "The sign-in could not be checked in time.", "Connect again."),
    "idle": Entry(408, 1000, "The connection was idle for too long.", "Connect again and resume."),
    "slow_consumer": Entry(503, 1013, "Your connection takes events too slowly.", "Connect again and resume."),
    "internal": Entry(500, 1011, "Something went wrong on our side.", "Try again; tell us the request id."),
}


class PlatformError(Exception):
    """An error the user may see: its code stands in the catalogue, its facts are safe to show."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.entry = CATALOGUE[code]
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.code}: {self.entry.sentence} {self.facts or ''}".strip()

    def problem(self, request_id: str) -> dict[str, Any]:
        """The body of an HTTP answer (RFC 9457)."""
        title = self.entry.sentence
        return {
            "type": f"urn:netra:error:{self.code}",
            "title": title,
            "status": self.entry.status,
            "code": self.code,
            "detail": self.facts.get("detail", title),
            "remedy": self.entry.remedy,
            "request_id": request_id,
            **{k: v for k, v in self.facts.items() if k != "detail"},
        }

"""The sessions of PaddlePaddle, by mode."""

from __future__ import annotations

from backends.api import Session
from backends.paddle.eager_session import EagerSession
from backends.paddle.static_session import StaticSession

SESSIONS: dict[str, type[Session]] = {"eager": EagerSession, "static": StaticSession}

"""One process leads others in a training that they share: it says what to do, all do it together.

Frameworks exchange the tensors. What passes here is a word a call, not a step: to make a session,
to train these batches. Whatever the others run on, processes of this machine or workers of others,
the session that the suite sees is a `LeadSession`.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection, wait
from typing import Any, Callable, NamedTuple, Optional, TypeVar

from backends.api import Gradients, Session, Unsupported, Workload, part_of
from bench.spec.weights import FloatArray, IntArray, Weights

# Equal parts take equal times: a process that lets the others wait for so long hangs.
PATIENCE_SECONDS = 300.0
# A process that failed says why in the moment in which the others see their exchange break off.
_SECONDS_TO_SAY = 5.0
_SECONDS_TO_END = 10.0

DONE = ""
MAKE, FORGET = "make", "forget"

Result = TypeVar("Result")


class FollowerError(RuntimeError):
    """Another process of a shared training failed, ended or hangs: says which, and what it said."""


class Message(NamedTuple):
    """What is asked of the others: to make a session, to call or to forget it.

    Attributes:
        method: a method of `Session`, or `MAKE` or `FORGET`.
        session: its number.
        arguments: of the method; the workload to make one from.
    """

    method: str
    session: int
    arguments: tuple[Any, ...] = ()


class Follower(NamedTuple):
    """Another process.

    Attributes:
        name: for messages, `rank 1 of 2`.
        messages: to it and from it.
        process: where it is one of this machine's, a `multiprocessing.Process`.
    """

    name: str
    messages: Connection
    process: Any = None

    def problem(self, seconds: float, may_be_silent: bool = False) -> str:
        """What is wrong with it, once it answers or ends; empty where nothing is."""
        watched = [self.messages, *([self.process.sentinel] if self.process else [])]
        ready = wait(watched, seconds)
        answer = self._answer() if ready else DONE if may_be_silent else f"silent for {seconds} s"
        return answer and f"{self.name} failed: {answer}"

    def _answer(self) -> str:
        with suppress(EOFError, OSError):
            if self.messages.poll():
                answer: str = self.messages.recv()
                return answer
        if self.process is None:
            return "its connection broke off"
        self.process.join(_SECONDS_TO_END)
        return f"it ended with exit status {self.process.exitcode}"


class Company:
    """The others, from when they can be spoken to until one of them fails."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        """Take them as they are; none is fine too."""
        self._followers = followers
        self._numbers = count()
        self._is_whole = True

    @property
    def is_whole(self) -> bool:
        """Whether no process has failed; then there can be another session."""
        return self._is_whole

    def new_number(self) -> int:
        """The number of another session."""
        return next(self._numbers)

    def together(self, message: Message, work: Callable[[], Result]) -> Result:
        """Have the others do what the message says, while this process does the work.

        Raises:
            FollowerError: another process failed, ended or hangs. The company is of no use then.
        """
        if not self._is_whole:
            raise FollowerError("a process of this shared training has failed before")

        def all_of_it() -> Result:
            for follower in self._followers:
                follower.messages.send(message)
            try:
                result = work()
            except Unsupported:  # and so it is to the others
                for follower in self._followers:
                    follower.problem(PATIENCE_SECONDS)
                raise
            self.hear_all()
            return result

        return self.guarded(all_of_it)

    def forget(self, number: int) -> None:
        """Let the others drop a session."""
        if self._is_whole:
            with suppress(OSError):
                for follower in self._followers:
                    follower.messages.send(Message(FORGET, number))

    def hear_all(self) -> None:
        """Wait until each has done what it was told.

        Raises:
            FollowerError: one failed, ended or hangs.
        """
        for follower in self._followers:
            problem = follower.problem(PATIENCE_SECONDS)
            if problem:
                raise FollowerError(problem)

    def guarded(self, work: Callable[[], Result]) -> Result:
        """Do the work; where it breaks off for another process's sake, say what happened there."""
        try:
            return work()
        except Unsupported:
            raise
        except FollowerError:
            self.close()
            raise
        except Exception as error:
            said = [each.problem(_SECONDS_TO_SAY, may_be_silent=True) for each in self._followers]
            self.close()
            if any(said):
                raise FollowerError("; ".join(filter(None, said))) from error
            raise

    def close(self) -> None:
        """Part for good: no other session can be made."""
        self._is_whole = False
        for follower in self._followers:
            if follower.process:
                follower.process.kill()
        for follower in self._followers:
            if follower.process:
                follower.process.join(_SECONDS_TO_END)
            follower.messages.close()


class LeadSession(Session):
    """The session that the suite sees of a training that processes share.

    What is asked of all is given whole batches; predictions and weights are this process's alone.
    """

    def __init__(
        self, workload: Workload, company: Company, make: Callable[[Workload], Session]
    ) -> None:
        """Have every process make its session of the workload.

        Args:
            workload: of all together.
            company: the others.
            make: makes this process's session.
        """
        self._world_size = workload.world_size
        self._company = company
        self._number = company.new_number()
        message = Message(MAKE, self._number, (workload,))
        self._own = company.together(message, lambda: make(workload))
        weakref.finalize(self, company.forget, self._number).atexit = False

    def compile(self, steps: int, batch_size: int) -> None:
        """See `Session.compile`."""
        part_of(batch_size, self._world_size)
        self._everywhere("compile", steps, batch_size)

    def train(self, batches: IntArray, learning_rates: FloatArray) -> FloatArray:
        """Train one step on each batch, in order; see `Session.train`."""
        part_of(batches.shape[1], self._world_size)
        losses: FloatArray = self._everywhere("train", batches, learning_rates)
        return losses

    def gradients(self, batch: IntArray) -> Gradients:
        """Logits, loss and gradients of one batch; see `Session.gradients`."""
        part_of(len(batch), self._world_size)
        gradients: Gradients = self._everywhere("gradients", batch)
        return gradients

    def predict(self, images: FloatArray) -> FloatArray:
        """Logits, by this process alone; see `Session.predict`."""
        return self._own.predict(images)

    def predictor(self, batch_size: int) -> Callable[[FloatArray], FloatArray]:
        """By this process alone; see `Session.predictor`."""
        return self._own.predictor(batch_size)

    def weights(self) -> Weights:
        """This process's, which are everyone's; see `Session.weights`."""
        return self._own.weights()

    def device_memory(self) -> Optional[int]:
        """The peak on this process's device; see `Session.device_memory`."""
        return self._own.device_memory()

    def communication_seconds(self) -> Optional[float]:
        """See `Session.communication_seconds`."""
        return self._own.communication_seconds()

    def _everywhere(self, method: str, *arguments: Any) -> Any:
        message = Message(method, self._number, arguments)
        return self._company.together(message, lambda: getattr(self._own, method)(*arguments))


def obey(
    receive: Callable[[], Message], answer: Callable[[str], None], make: Callable[..., Session]
) -> None:
    """Do what comes, and answer each message but one to forget: `DONE`, or what went wrong.

    Args:
        receive: gives the next message; an EOFError ends all, since the one who leads is gone.
        answer: sends an answer.
        make: a session of this process from the workload of all.
    """
    sessions: dict[int, Session] = {}
    try:
        while True:
            message = receive()
            if message.method == MAKE:
                answer(_made(sessions, message, make))
            elif message.method == FORGET:
                sessions.pop(message.session, None)
            else:
                getattr(sessions[message.session], message.method)(*message.arguments)
                answer(DONE)
    except EOFError:
        return
    except Exception as error:
        traceback.print_exc()
        answer(f"{type(error).__name__}: {error}")


def _made(sessions: dict[int, Session], message: Message, make: Callable[..., Session]) -> str:
    try:
        sessions[message.session] = make(*message.arguments)
    except Unsupported as error:  # the next workload may be another
        return f"unsupported: {error}"
    return DONE

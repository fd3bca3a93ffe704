"""A FastAPI application with one account: `uvicorn web_app:app`. It sends, and says how its mailbox stands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from email.message import EmailMessage

import aiosmtplib
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import mailbearer.aio
from my_account import USER, at, get_access_token


class Mail(BaseModel):
    to: str
    subject: str
    text: str


class Outbox:
    """One connection that sends what is asked for, in its turn, and is renewed before its token ends."""

    def __init__(self, account: mailbearer.aio.Account) -> None:
        self.account = account
        self.stop: mailbearer.LoginFailed | None = None
        self._jobs: asyncio.Queue[tuple[EmailMessage, asyncio.Future[None]]] = asyncio.Queue()
        self._retried = asyncio.Event()

    async def send(self, message: EmailMessage) -> None:
        if self.stop is not None:
            raise self.stop
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((message, answer))
        await answer

    def retry(self) -> None:
        self.account.retry()
        self._retried.set()

    async def run(self) -> None:
        sessions = self.account.sessions("smtp", client="aiosmtplib", **at("smtp"))
        while True:
            try:
                async for connection in sessions:
                    async with connection:
                        await self._send_over(connection)
            except mailbearer.LoginFailed as stop:
                # A person must act: who asks is told so, at once and without a login, until /retry.
                self.stop = stop
                while not self._jobs.empty():
                    self._jobs.get_nowait()[1].set_exception(stop)
                await self._retried.wait()
                self._retried.clear()
                self.stop = None

    async def _send_over(self, connection: mailbearer.aio.SessionConnection[aiosmtplib.SMTP]) -> None:
        while not connection.is_due:
            try:
                message, answer = await asyncio.wait_for(self._jobs.get(), 1)
            except TimeoutError:
                continue  # nothing to send: look whether the connection is due
            try:
                await connection.client.send_message(message)
                answer.set_result(None)
            except mailbearer.SessionEnded as ended:
                if connection.aftermath is not None and connection.aftermath.submission == "unknown":
                    answer.set_exception(ended)  # it may have been delivered: not twice
                else:
                    self._jobs.put_nowait((message, answer))
                raise
            except aiosmtplib.SMTPException as refused:
                answer.set_exception(refused)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with mailbearer.aio.Account(USER, token) as account:
        app.state.outbox = Outbox(account)
        work = asyncio.create_task(app.state.outbox.run())
        yield
        work.cancel()
        await asyncio.wait([work])


async def token() -> mailbearer.TokenAnswer:
    return await asyncio.to_thread(get_access_token)


app = FastAPI(lifespan=lifespan)


@app.post("/mails", status_code=202)
async def send(mail: Mail) -> dict[str, str]:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = USER, mail.to, mail.subject
    message.set_content(mail.text)
    try:
        await app.state.outbox.send(message)
    except mailbearer.LoginFailed as stop:
        raise HTTPException(503, str(stop)) from stop
    except (mailbearer.SessionEnded, aiosmtplib.SMTPException) as error:
        raise HTTPException(502, mailbearer.explain(error).sentence) from error
    return {"status": "accepted"}


@app.get("/health")
async def health() -> dict[str, object]:
    status = app.state.outbox.account.status()
    return {
        "sessions": [one["standing"] for one in status["sessions"]],
        "needs": [stop.sentence for stop in status["stops"]],
    }


@app.post("/retry", status_code=204)
async def retry() -> None:
    """Somebody has consented anew, or switched SMTP on."""
    app.state.outbox.retry()

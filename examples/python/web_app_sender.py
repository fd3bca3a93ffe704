"""A FastAPI application that only sends: `uvicorn web_app_sender:app`. Each mail goes once, over one login."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from email.message import EmailMessage

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import mailbearer.aio
from my_account import USER, at, get_access_token


class Mail(BaseModel):
    to: str
    subject: str
    text: str


async def token() -> mailbearer.TokenAnswer:
    return await asyncio.to_thread(get_access_token)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # A refusal for now is told to who asks; with a longer time it is tried again behind the answer.
    async with mailbearer.aio.sender(USER, token, give_up_after=0, **at("smtp")) as app.state.sender:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/mails", status_code=202)
async def send(mail: Mail) -> dict[str, str]:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = USER, mail.to, mail.subject
    message.set_content(mail.text)
    receipt = None
    try:
        receipt = app.state.sender.send(message)
        outcome = await receipt.result(timeout=30)
    except (mailbearer.NeedsUser, mailbearer.GaveUp, TimeoutError) as stop:
        if receipt is not None:
            receipt.cancel()  # who is told that it failed may send it again
        raise HTTPException(503, str(stop)) from stop
    if outcome.status != "sent":
        reasons = [str(refusal) for refusal in outcome.refused.values()]
        raise HTTPException(502, {"message_id": outcome.message_id, "status": outcome.status, "reasons": reasons})
    return {"message_id": outcome.message_id}


@app.post("/retry", status_code=204)
async def retry() -> None:
    """Somebody has consented anew, or switched SMTP on."""
    app.state.sender.retry()

"""A Django application whose mails go over a session: `python django_app.py runserver`."""

import email.utils
import sys

from django.conf import settings
from django.core import mail
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path

import mailbearer.django
from my_account import USER, at

# By Message-ID. A program of more than one process keeps them in its database.
OUTCOMES: dict[str, mailbearer.SendOutcome] = {}


def on_outcome(outcome: mailbearer.SendOutcome) -> None:
    """Hear what became of each mail; in a thread of the sender, shortly after `send()` has returned."""
    OUTCOMES[outcome.message_id] = outcome


settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    EMAIL_BACKEND="mailbearer.django.EmailBackend",
    DEFAULT_FROM_EMAIL=USER,
    # The token is a function, by its dotted path. After `mailbearer login` it can be left out.
    MAILBEARER={
        "user": USER,
        "token": "my_account.get_access_token",
        "limits": [(30, 60)],
        "on_outcome": on_outcome,
        **at("smtp"),
    },
)


def send(request: HttpRequest) -> JsonResponse:
    # The Message-ID is what links a mail to its outcome.
    number = email.utils.make_msgid(domain=USER.rpartition("@")[2])
    message = mail.EmailMessage("hello", "from Django", to=request.GET.getlist("to"), headers={"Message-ID": number})
    try:
        message.send()
    except mailbearer.NeedsUser as stop:
        return JsonResponse({"error": str(stop)}, status=503)
    except mailbearer.django.NotSent as problem:
        return JsonResponse({"error": str(problem), "status": problem.outcome.status}, status=502)
    return JsonResponse({"status": "accepted", "message_id": number}, status=202)


def outcome(request: HttpRequest) -> JsonResponse:
    """Who got a mail, and who was refused, and why."""
    found = OUTCOMES.get(request.GET["message_id"])
    if found is None:
        return JsonResponse({"error": "nothing is known of it"}, status=404)
    refused = {recipient: str(refusal) for recipient, refusal in found.refused.items()}
    return JsonResponse({"status": found.status, "accepted": list(found.accepted), "refused": refused})


def retry(request: HttpRequest) -> JsonResponse:
    """Somebody has consented anew, or switched SMTP on."""
    mailbearer.django.retry()
    return JsonResponse({}, status=200)


urlpatterns = [path("send", send), path("outcome", outcome), path("retry", retry)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)

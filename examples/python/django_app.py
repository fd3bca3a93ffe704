"""A Django application whose mails go over a session: `python django_app.py runserver`."""

import sys

from django.conf import settings
from django.core import mail
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path

import mailbearer.django
from my_account import USER, at

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    EMAIL_BACKEND="mailbearer.django.EmailBackend",
    DEFAULT_FROM_EMAIL=USER,
    # The token is a function, by its dotted path. After `mailbearer login` it can be left out.
    MAILBEARER={"user": USER, "token": "my_account.get_access_token", "limits": [(30, 60)], **at("smtp")},
)


def send(request: HttpRequest) -> JsonResponse:
    try:
        mail.send_mail("hello", "from Django", None, [request.GET["to"]])
    except mailbearer.NeedsUser as stop:
        return JsonResponse({"error": str(stop)}, status=503)
    except mailbearer.django.NotSent as problem:
        return JsonResponse({"error": str(problem), "status": problem.outcome.status}, status=502)
    return JsonResponse({"status": "accepted"}, status=202)


def retry(request: HttpRequest) -> JsonResponse:
    """Somebody has consented anew, or switched SMTP on."""
    mailbearer.django.retry()
    return JsonResponse({}, status=200)


urlpatterns = [path("send", send), path("retry", retry)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)

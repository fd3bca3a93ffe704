import mailbearer
import mailbearer.aio

mailbearer.sessions("imap", "joe@gmail.com", polcy=mailbearer.SessionPolicy())  # wrong
mailbearer.aio.sessions("smtp", "joe@gmail.com", on_events=print)  # wrong

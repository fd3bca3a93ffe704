import mailbearer
import mailbearer.aio

mailbearer.sessions("smtp", "joe@gmail.com", client="imapclient")  # wrong
mailbearer.aio.sessions("pop3", "joe@gmail.com", client="aioimaplib")  # wrong

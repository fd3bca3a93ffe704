import socket

import mailbearer

mailbearer.imap("joe@gmail.com", proxy="socks5://localhost:1080", local_address="192.0.2.7")
mailbearer.connect("smtp", "joe@gmail.com", proxy="environment")
mailbearer.connect("imap", "joe@gmail.com", sock=socket.create_connection(("imap.gmail.com", 993)))
mailbearer.sessions("imap", "joe@gmail.com", sock=socket.create_connection)

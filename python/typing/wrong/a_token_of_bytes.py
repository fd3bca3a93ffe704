import mailbearer

mailbearer.connect("smtp", "joe@gmail.com", b"ya29.token")  # wrong

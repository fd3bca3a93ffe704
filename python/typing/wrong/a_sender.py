import mailbearer

with mailbearer.sender("joe@gmail.com", limit=[(30, 60)]) as sender:  # wrong
    receipt = sender.send("Subject: hello")  # wrong
    print(receipt.result().status == "delivered")  # wrong

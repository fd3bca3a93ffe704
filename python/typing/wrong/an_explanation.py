import mailbearer

failure = mailbearer.explain(OSError())
print(failure.server_txt)  # wrong
print(failure.to_dict()["sentense"])  # wrong

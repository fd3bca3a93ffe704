import mailbearer

verdict = mailbearer.classify("imap", "disconnect", ["* BYE Session expired"])
advice: mailbearer.Advice = verdict.advice
rejection = mailbearer.read_rejection("eyJzdGF0dXMiOiI0MDEifQ==")
print(rejection.status, verdict.to_dict()["rule"])

from collections.abc import Sequence

import mailbearer


class Mine:
    def mx(self, domain: str) -> Sequence[str]:
        return [f"mx.{domain}"]


mailbearer.discover("joe@example.org", resolver=Mine())  # wrong

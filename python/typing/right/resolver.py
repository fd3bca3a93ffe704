from collections.abc import Sequence

import mailbearer


class Mine:
    def mx(self, domain: str, seconds: float) -> Sequence[tuple[int, str]]:
        return [(10, f"mx.{domain}")]

    def srv(self, name: str, seconds: float) -> Sequence[tuple[int, int, int, str]]:
        raise mailbearer.LookupFailed("timed_out")


def fetch(url: str, *, seconds: float, octets_max: int, public_only: bool) -> tuple[int, str | None, bytes]:
    return 404, None, b""


mailbearer.discover("joe@example.org", resolver=Mine(), opener=fetch)

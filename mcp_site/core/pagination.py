"""Lists are paged by cursor: `{"next", "previous", "results"}`, stable while rows are added."""

from __future__ import annotations

from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from mcp_site.core.errors import Rejected


class NewestFirst(CursorPagination):
    """Pages of 50, newest first unless the view says otherwise; `?page_size=` up to 200."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    ordering: str | tuple[str, ...] = "-id"

    def get_page_size(self, request: Request) -> int:
        """Return the asked size. Raises Rejected where it is not a number from 1 to 200."""
        raw = request.query_params.get("page_size")
        if raw is None:
            return self.page_size
        if not raw.isascii() or not raw.isdecimal() or not 1 <= int(raw[:9]) <= self.max_page_size:
            raise Rejected(f"a whole number from 1 to {self.max_page_size}", attr="page_size")
        return int(raw)

"""Routes of users; mounted at the root and under /api/v1."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from accounts.api import people

router = SimpleRouter(trailing_slash=False)
router.register("users", people.UserViewSet, basename="users-api")

urlpatterns = router.urls

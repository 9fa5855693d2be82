"""Settings: one file, the environment is the only difference between machines.

With no `DATABASE_URL` they read `<data-dir>/run.json`, which `manage.py up` writes, so that every other command
talks to the running panel. Importing them never needs a running server.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

from mcp_site import headers, logs, openapi

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

VERSION = next(iter(re.findall(r"^## (\d+\.\d+\.\d+)", (BASE_DIR / "CHANGELOG.md").read_text(), re.MULTILINE)), "0")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# Where the panel keeps its files: embedded servers, keys, artifacts, examples.
MCP_DATA_DIR = Path(env.str("MCP_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
_RUN = _read_json(MCP_DATA_DIR / "run.json")
_KEYS = _read_json(MCP_DATA_DIR / "keys.json")

# Mode ------------------------------------------------------------
# Local: listening on a loopback address and no PUBLIC_URL. `manage.py up` decides and tells its children.
MCP_LOCAL = env.bool("MCP_LOCAL", default=False)
PUBLIC_URL = env.str("PUBLIC_URL", default="")
MCP_INSECURE_HTTP = env.bool("MCP_INSECURE_HTTP", default=False)
_HTTPS = PUBLIC_URL.startswith("https://")

# Core ------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or _KEYS.get("SECRET_KEY", "")
# Without a key, commands that need none still work; a server refuses to start (mcp_site.E001).
SECRET_KEY_IS_EPHEMERAL = not SECRET_KEY
SECRET_KEY = SECRET_KEY or secrets.token_urlsafe(50)
# Fernet keys for sealed secrets, the first seals, all open. Not SECRET_KEY: losing that must lose no credential.
MCP_SECRET_KEYS: list[str] = env.list("MCP_SECRET_KEYS", default=[]) or _KEYS.get("MCP_SECRET_KEYS", [])
_PUBLIC_HOST = [urlsplit(PUBLIC_URL).hostname or ""] if PUBLIC_URL else []
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", *_PUBLIC_HOST])
CSRF_TRUSTED_ORIGINS: list[str] = [PUBLIC_URL] if _HTTPS else []

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "rest_framework_api_key",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "django_filters",
    "django_htmx",
    "corsheaders",
    "csp",
    "axes",
    "channels",
    "accounts",
    "connections",
    "definitions",
    "workflows",
    "monitoring",
    "mcp_site.apps.SiteConfig",
]
MIDDLEWARE = [
    "mcp_site.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "mcp_site.middleware.BodyLimit",
    "accounts.middleware.AuditOrigin",
    "accounts.middleware.RateLimitHeaders",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.SessionSeen",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
]
ROOT_URLCONF = "mcp_site.urls"
APPEND_SLASH = False
ASGI_APPLICATION = "mcp_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "mcp_site.context.panel",
            ]
        },
    }
]
DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("MAX_BODY_BYTES", default=2 * 1024 * 1024)

# Database: PostgreSQL and nothing else ------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL", default="")
NOT_RUNNING = "start-it-with-manage.py-up"
_database = env.db_url("DATABASE_URL") if DATABASE_URL else _RUN.get("database", {"NAME": NOT_RUNNING})
# Under ASGI each request has its own thread, so a connection per thread is never used twice: a pool. 0 behind another.
MCP_DB_POOL = env.int("MCP_DB_POOL", default=20)
DATABASES = {
    "default": {
        **_database,
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 10,
            # jit: the engine's functions are many short statements, which it only slows down.
            "options": "-c jit=off -c timezone=UTC",
            "pool": (DATABASE_URL or _RUN) and MCP_DB_POOL and {"min_size": 1, "max_size": MCP_DB_POOL, "timeout": 10},
            **_database.get("OPTIONS", {}),
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis or Valkey: broker, cache, live events ------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="") or _RUN.get("redis", "redis://127.0.0.1:6379/0")
REDIS_PREFIX = env.str("REDIS_PREFIX", default="mcp")
_cache = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": REDIS_PREFIX}
# `login` counts wrong passwords; while Redis is away, people still sign in.
CACHES = {"default": _cache, "login": {**_cache, "OPTIONS": {"IGNORE_EXCEPTIONS": True}}}

# Celery: a bell, not a ledger (docs/decisions/0002) ------------------------------------------------------------
_unix = REDIS_URL.startswith("unix://")
CELERY_BROKER_URL = env.str("BROKER_URL", default="") or (
    REDIS_URL.replace("unix://", "redis+socket://") if _unix else REDIS_URL
)
CELERY_TASK_SERIALIZER, CELERY_ACCEPT_CONTENT = "json", ["json"]
CELERY_TASK_IGNORE_RESULT = CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = CELERY_WORKER_ENABLE_REMOTE_CONTROL = CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TASK_DEFAULT_QUEUE = "control"
# redis-py 8 ends a read after 5 s by default, which breaks the worker's blocking pop.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": f"{REDIS_PREFIX}:",
    "socket_timeout": None,
    "socket_connect_timeout": 10,
    "visibility_timeout": 3600,
}

# The engine ------------------------------------------------------------
# How long a worker may be silent before its steps are taken back.
MCP_LEASE_SECONDS = env.float("MCP_LEASE_SECONDS", default=30.0)
MCP_WORKER_THREADS = env.int("MCP_WORKER_THREADS", default=8)
# Whether web and workers do the periodic work too; off where `manage.py tick` runs alone.
MCP_TICKS = env.bool("MCP_TICKS", default=True)
SANDBOX = env.str("SANDBOX", default="auto")
# Where connections, webhooks and LLM calls may go beside the public internet: loopback, private, or networks (CIDR).
EGRESS_ALLOW: list[str] = env.list("EGRESS_ALLOW", default=["loopback", "private"] if MCP_LOCAL else [])
# host:port on which the panel itself answers (`manage.py up` sets it): never a target of its own connections.
MCP_OWN_ADDRESS = env.str("MCP_OWN_ADDRESS", default="")
# Folders beside the data dir in which SQLite connections may open files.
SQLITE_ROOTS: list[str] = env.list("SQLITE_ROOTS", default=[])
SECRET_REFERENCES: list[str] = env.list("SECRET_REFERENCES", default=[])

# Monitoring ------------------------------------------------------------
METRICS_KEEP_DAYS = env.int("METRICS_KEEP_DAYS", default=100)
METRICS_MAX_SERIES = env.int("METRICS_MAX_SERIES", default=10_000)
# Who may scrape GET /metrics beside Admins: whoever sends this token, or asks from these networks (CIDR).
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
METRICS_ALLOW: list[str] = env.list("METRICS_ALLOW", default=[])

# Accounts ------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# After so many wrong passwords for one person from one address that pair waits; never the person everywhere, or
# anybody could lock anybody out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT, AXES_COOLOFF_TIME, AXES_RESET_ON_SUCCESS = 20, timedelta(minutes=15), True
# A wrong try while waiting does not make the wait longer.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
# The sign-in says it in its own words (accounts/services/sign_in.py), so the middleware is not needed.
SILENCED_SYSTEM_CHECKS = ["axes.W002"]
AXES_CACHE, AXES_HANDLER = "login", "axes.handlers.cache.AxesCacheHandler"
AXES_CLIENT_IP_CALLABLE = "accounts.throttles.address_of"
AXES_USERNAME_CALLABLE, AXES_USERNAME_FORM_FIELD = "accounts.throttles.username_of", "username"
AXES_VERBOSE = AXES_ENABLE_ADMIN = AXES_ENABLE_ACCESS_FAILURE_LOG = False
AXES_DISABLE_ACCESS_LOG = True
# Who may register: open, invite (only with an invitation), closed; and which roles are given without an Admin's word.
REGISTRATION = env.str("REGISTRATION", default="open" if MCP_LOCAL else "invite")
SELF_REGISTRATION_ROLES: list[str] = env.list(
    "SELF_REGISTRATION_ROLES", default=["Viewer", "Editor"] if MCP_LOCAL else ["Viewer"]
)
LOGIN_URL = LOGOUT_REDIRECT_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
_rules: dict[str, dict[str, Any]] = {"UserAttributeSimilarity": {}, "MinimumLength": {"min_length": 12}}
_rules |= {"CommonPassword": {}, "NumericPassword": {}}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}Validator", "OPTIONS": options}
    for name, options in _rules.items()
]
# Requests a minute, by class of route (accounts/throttles.py); each has its RATE_ variable, 0 is no limit. Local: × 10.
_rates = {"RATE_READ": 1200, "RATE_WRITE": 300, "RATE_RUN": 600, "RATE_QUERY": 60}
_rates |= {"RATE_LOGIN": 10, "RATE_LOGIN_ADDRESS": 60, "RATE_REGISTER": 10, "RATE_HOOK": 120}
RATES = {n[5:].lower(): env.int(n, default=d * (10 if MCP_LOCAL else 1)) for n, d in _rates.items()}
DEFAULT_VISIBILITY = env.str("DEFAULT_VISIBILITY", default="organisation")
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET_KEY,
    # Who a token is for is read from the sign-in that it names (accounts/tokens.py).
    "AUDIENCE": "model-control-panel",
}

# Security ------------------------------------------------------------
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = (
    ("__Host-sessionid", "__Host-csrftoken") if _HTTPS else ("sessionid", "csrftoken")
)
CSRF_FAILURE_VIEW = "mcp_site.urls.csrf_failed"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
SECURE_REFERRER_POLICY = "same-origin"
# Addresses or networks of proxies: what they say of the client's address and of https is believed (by uvicorn).
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", default=[])
_origins: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOW_ALL_ORIGINS = "*" in _origins
CORS_ALLOWED_ORIGINS = [origin for origin in _origins if origin != "*"]
CORS_ALLOW_CREDENTIALS = env.bool("CORS_ALLOW_CREDENTIALS", default=False)
CORS_URLS_REGEX = r"^/(api/|auth/|users|orchestration/|metrics|health|hooks/|openapi\.json)"
CORS_EXPOSE_HEADERS = ["X-Request-ID", "RateLimit", "RateLimit-Policy", "Retry-After", "Location", "ETag"]
CONTENT_SECURITY_POLICY, PERMISSIONS_POLICY = headers.CONTENT_SECURITY_POLICY, headers.PERMISSIONS_POLICY

# Mail ------------------------------------------------------------
# Invitations and password resets. Without a server they are written to the console: smtp+tls://user:password@host:587.
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="Model Control Panel <panel@localhost>")

# REST API ------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [f"accounts.authentication.{name}" for name in ("Token", "Key", "Cookie")],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.SignedIn"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttles.Rate"],
    "DEFAULT_PARSER_CLASSES": ["mcp_site.core.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "mcp_site.core.pagination.NewestFirst",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_standardized_errors.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "mcp_site.core.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    # OPTIONS answers 405: /openapi.json says what there is. (CORS preflights are answered before.)
    "DEFAULT_METADATA_CLASS": None,
}
DRF_STANDARDIZED_ERRORS = {"ENABLE_IN_DEBUG_FOR_UNHANDLED_EXCEPTIONS": True}
SPECTACULAR_SETTINGS = openapi.settings(VERSION)

# Static files, times, logs ------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served from where they stand; `collectstatic` into this folder is for those who let a proxy serve them.
STATIC_ROOT = env.str("STATIC_ROOT", default="") or None
WHITENOISE_USE_FINDERS = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = logs.settings(LOG_LEVEL)

"""What browsers are told about the panel's pages."""

from __future__ import annotations

from csp.constants import NONCE, NONE, SELF

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
# What no page of the panel uses, no frame or script in it may use either.
_unused = ["accelerometer", "autoplay", "camera", "display-capture", "fullscreen", "geolocation", "gyroscope"]
_unused += ["magnetometer", "microphone", "midi", "payment", "usb", "browsing-topics"]
PERMISSIONS_POLICY: dict[str, list[str]] = {name: [] for name in _unused}

"""Headers of requests that no local server may answer."""

from __future__ import annotations

FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example:3000"},
    {"Host": "localhost@evil.example"},
    {"Host": "[::1"},
    {"Host": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
]

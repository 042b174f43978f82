"""The proxy as a service of the platform: a systemd user unit, or a launchd agent of macOS.

What is written is made by pure functions (`unit`, `agent`, `seal`); `systemd` and `launchd` write it and run the
platform's program; `places` says where it goes.
"""

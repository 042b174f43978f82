"""How fast jmap-proxy is beside other proxies on the same core, before the same server. See docs/performance.md."""

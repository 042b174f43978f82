# The proxy alone, as a user without rights. The token store is the volume /state, the configuration /config/config.toml.
#
#   docker build -t jmap-proxy .
#   docker run -it --network host -v jmap-state:/state -v ./config.toml:/config/config.toml:ro jmap-proxy login alice --no-browser
#   docker run -d  --network host -v jmap-state:/state -v ./config.toml:/config/config.toml:ro jmap-proxy
#
# The health check asks listen.admin at its default, 127.0.0.1:8622.
# The host's network, since plain http is served on loopback only. To publish a port instead, set listen.https to
# "0.0.0.0:8621" with a certificate, and listen.hosts to the names that clients use.
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements/run.txt requirements/build.txt requirements/
RUN python -m venv /app \
 && /app/bin/pip install --no-cache-dir --no-compile --require-hashes -r requirements/run.txt \
 && pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY jmap_proxy jmap_proxy
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
 && /app/bin/pip install --no-cache-dir --no-compile --no-deps dist/*.whl \
 && /app/bin/pip uninstall --yes pip

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin jmap-proxy \
 && install -d -m 0700 -o jmap-proxy -g jmap-proxy /state
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    JMAP_PROXY_CONFIG=/config/config.toml JMAP_PROXY_STATE=/state
USER jmap-proxy
VOLUME /state
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8622/healthz', timeout=2)"]
ENTRYPOINT ["jmap-proxy"]
CMD ["serve"]

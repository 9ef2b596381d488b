# The server as an image. Two stages, so that what built it stays behind.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements requirements
RUN python -m venv /opt/lineal && /opt/lineal/bin/pip install --require-hashes --only-binary :all: -r requirements/server.txt
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.txt
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && /opt/lineal/bin/pip install --no-deps --no-index /wheels/*.whl

FROM python:3.11-slim
# Console scripts, and never a package out of the current folder.
ENV PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PATH=/opt/lineal/bin:$PATH
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/lineal lineal
COPY --from=build /opt/lineal /opt/lineal
USER 10001
WORKDIR /var/lib/lineal
VOLUME /var/lib/lineal
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["lineal-server"]
CMD ["serve", "--http", "0.0.0.0:8080", "--data-dir", "/var/lib/lineal"]

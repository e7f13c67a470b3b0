# Crucible with the extras that a cluster needs, for docker-compose.yml or any other engine. It runs as nobody in
# particular (10001) and holds no secrets. What is installed is pinned with hashes: `make lock` writes both lock files.

FROM python:3.11.15-slim-trixie AS build
ENV PIP_CACHE_DIR=/pip-cache
WORKDIR /build
COPY requirements-build.lock requirements-image.lock ./
RUN --mount=type=cache,target=/pip-cache \
    python -m venv tools \
    && tools/bin/python -m pip install --quiet --require-hashes --only-binary=:all: -r requirements-build.lock
RUN --mount=type=cache,target=/pip-cache \
    python -m venv --without-pip /opt/crucible \
    && tools/bin/python -m pip --python /opt/crucible/bin/python install --quiet --require-hashes \
        --only-binary=:all: -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY crucible crucible
COPY producers producers
COPY processors processors
COPY projections projections
COPY examples examples
RUN tools/bin/python -m pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir wheels . \
    && tools/bin/python -m pip --python /opt/crucible/bin/python install --quiet --no-deps --no-index wheels/*.whl

FROM python:3.11.15-slim-trixie
RUN install --directory --owner=10001 --group=10001 /crucible /blobs
COPY --from=build /opt/crucible /opt/crucible
ENV PATH=/opt/crucible/bin:$PATH \
    HOME=/crucible \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /crucible
ENTRYPOINT ["crucible"]
CMD ["--help"]

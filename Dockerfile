# Our services in one image: `docker compose build`, or `docker build -t omero-mq .`; docker-compose.yml says how it is run.
# Pinned by tag; a digest can be added with --build-arg PYTHON=python:3.11-slim@sha256:...
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS wheels
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY schemas schemas
COPY connectors connectors
COPY pipeline pipeline
RUN pip wheel --no-cache-dir --disable-pip-version-check --wheel-dir /wheels --constraint constraints.txt .

FROM ${PYTHON}
LABEL org.opencontainers.image.title="omero-mq" \
      org.opencontainers.image.description="Every change to an OMERO database as an event on Kafka" \
      org.opencontainers.image.licenses="GPL-2.0-or-later"
# The wheels are looked at, not copied: they would be half of the image.
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --disable-pip-version-check --no-index --find-links /wheels omero-mq \
 && useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin omero-mq
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /
STOPSIGNAL SIGTERM
ENTRYPOINT ["omero-mq"]
CMD ["--help"]
# No HEALTHCHECK here: it names the service (`omero-mq check ready NAME`), and which one runs is said where the container is started.

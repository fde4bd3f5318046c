# The image of Gatehouse: docker build -t gatehouse .
# Everything that must be kept is in the volume /data.

FROM python:3.13-slim-trixie AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential libldap-dev libsasl2-dev \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/base.txt requirements/ldap.txt requirements/otel.txt /requirements/
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        -r /requirements/base.txt -r /requirements/ldap.txt -r /requirements/otel.txt

FROM python:3.13-slim-trixie
RUN apt-get update \
    # backup, restore and upgrade use PostgreSQL's own programs, of its version or newer.
    && apt-get install -y --no-install-recommends libldap2 libsasl2-2 postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 gatehouse \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin gatehouse \
    && install -d -o gatehouse -g gatehouse -m 700 /data
COPY --from=builder /venv /venv
COPY . /app
WORKDIR /app
# The user of the container cannot write here, so Python files are compiled now.
RUN /venv/bin/python -m compileall -q /app
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/ready', timeout=4)"]
# exec form: the server itself gets the signal to stop, and finishes started requests.
CMD ["python", "manage.py", "serve"]

# The image of Gatehouse: docker build -t gatehouse .
# Everything that must be kept is in the volume /data; the rest may be mounted read-only.

FROM python:3.13-slim-trixie AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        gcc libc6-dev libldap-dev libsasl2-dev postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/base.txt requirements/ldap.txt requirements/otel.txt /requirements/
# Without pip, and without texts that only translators need.
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r /requirements/base.txt -r /requirements/ldap.txt \
        -r /requirements/otel.txt \
    && find /venv -name '*.po' -delete
# backup, restore and upgrade use these three. Their package would bring Perl; scanners for known
# vulnerabilities read its version from status.d.
RUN install -D -t /postgresql/usr/local/bin /usr/lib/postgresql/17/bin/pg_dump \
        /usr/lib/postgresql/17/bin/pg_restore /usr/lib/postgresql/17/bin/psql \
    && install -d /postgresql/var/lib/dpkg/status.d \
    && dpkg-query --status postgresql-client-17 \
        > /postgresql/var/lib/dpkg/status.d/postgresql-client-17

FROM python:3.13-slim-trixie
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libldap2 liblz4-1 libpq5 libreadline8t64 libsasl2-2 libxxhash0 libzstd1 \
    && rm -rf /var/lib/apt/lists/* \
    # Nothing installs packages here: an intruder should not find a tool for it either.
    && python -m pip uninstall --yes --root-user-action=ignore pip \
    && rm -r "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
    && groupadd --gid 10001 gatehouse \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin gatehouse \
    && install -d -o gatehouse -g gatehouse -m 700 /data
COPY --from=builder /postgresql /
COPY --from=builder /venv /venv
COPY . /app
WORKDIR /app
# The user of the container cannot write here, so Python files are compiled now.
RUN /venv/bin/python -m compileall -q /app \
    && /venv/bin/python -m scripts.sbom base ldap otel > /app/sbom.cdx.json
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
VOLUME /data
EXPOSE 8000
# -IS: Python loads only what the check itself imports.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-IS", "config/server/health_check.py"]
# exec form: the server itself gets the signal to stop, and finishes started requests.
CMD ["python", "manage.py", "serve"]

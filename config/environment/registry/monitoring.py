"""Settings of what monitoring may read."""

from config.environment.schema import Section, networks

MONITORING = Section(
    "Monitoring",
    "Who may read `/metrics`; docs/metrics.md describes the content.",
    networks("METRICS_NETWORKS", default="127.0.0.0/8,::1/128", example="10.42.0.0/16").with_help(
        "Networks that may read `/metrics`; all others get 404. The default is this machine. "
        "Behind a proxy the client's address counts, and requests through an unknown proxy are "
        "refused. If empty, no one may read it."
    ),
)

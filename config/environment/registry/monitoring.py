"""Settings of what monitoring may read."""

from config.environment.schema import Section, networks

MONITORING = Section(
    "Monitoring",
    "Who may read `/metrics`; docs/metrics.md says what stands there.",
    networks("METRICS_NETWORKS", default="127.0.0.0/8,::1/128", example="10.42.0.0/16").with_help(
        "Networks from which `/metrics` may be read; everybody else gets 404. The default is this "
        "machine. Behind a proxy the address of the caller counts, and a proxy that no setting "
        "names opens nothing. Empty: nobody."
    ),
)

"""Settings of what monitoring may read."""

from config.environment.schema import Kind, Section, Variable

MONITORING = Section(
    "Monitoring",
    "Who may read `/metrics`; docs/metrics.md says what stands there.",
    (
        Variable(
            name="METRICS_NETWORKS",
            kind=Kind.NETWORKS,
            default="127.0.0.0/8,::1/128",
            example="10.42.0.0/16",
            help=(
                "Networks from which `/metrics` may be read; everybody else gets 404. The default "
                "is this machine. Behind a proxy the address of the caller counts, and a proxy "
                "that no setting names opens nothing. Empty: nobody."
            ),
        ),
    ),
)

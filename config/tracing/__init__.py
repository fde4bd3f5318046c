"""Traces by OpenTelemetry, exported by OTLP/HTTP; docs/tracing.md describes them.

`conf` reads the settings. The other modules need opentelemetry-sdk, an optional package: they are
loaded by name, and only where the settings turn tracing on.
"""

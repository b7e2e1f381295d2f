// The room Telemetry.

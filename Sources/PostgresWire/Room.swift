// The room PostgresWire.

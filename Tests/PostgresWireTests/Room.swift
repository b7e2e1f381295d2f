// Tests of the room PostgresWire.

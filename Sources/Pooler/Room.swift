// The room Pooler.

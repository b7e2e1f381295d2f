// The room PoolCore.

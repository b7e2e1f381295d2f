// Tests of the room PoolCore.

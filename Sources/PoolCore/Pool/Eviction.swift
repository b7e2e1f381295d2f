import Bytes

/// Which idle servers make room where a limit is reached.
public enum Eviction {
    /// Whether the idle servers of a pool count against the limit that stands in the way of another one. Servers of the same family make room
    /// though there is demand: for other startup values.
    public static func counts(
        _ pool: CapacityLedger.PoolKey, hasDemand: Bool, against limit: ServerCloseReason.EvictingLimit, of wanting: CapacityLedger.PoolKey
    ) -> Bool {
        switch limit {
        case .pool: pool.family == wanting.family
        case .database: !hasDemand && pool.database.hasSameBytes(as: wanting.database)
        case .user: !hasDemand && pool.user.hasSameBytes(as: wanting.user)
        }
    }
}

extension CapacityLedger.ServerVerdict {
    /// The limit for which an idle server may make room; nil: there is room.
    public var evictingLimit: ServerCloseReason.EvictingLimit? {
        switch self {
        case .granted, .grantedFromReserve: nil
        case .poolFull: .pool
        case .databaseFull: .database
        case .userFull: .user
        }
    }
}

import Configuration

/// What a pool mode means: every question whose answer depends on it, answered for each mode.
///
/// No other code compares pool modes. A new mode does not compile until each question is answered for it.
public struct PoolPolicy: Sendable, Equatable {
    public let mode: PoolMode

    public init(_ mode: PoolMode) { self.mode = mode }

    /// When a client gives its server back.
    public enum Release: Sendable, Equatable {
        /// Between two transactions.
        case betweenTransactions
        /// When it leaves.
        case atTheEnd
    }

    public var release: Release {
        switch mode {
        case .session: .atTheEnd
        case .transaction, .statement: .betweenTransactions
        }
    }

    /// A transaction block of more than one query ends its client.
    public var refusesTransactionBlocks: Bool {
        switch mode {
        case .session, .transaction: false
        case .statement: true
        }
    }

    /// Clients that live have servers in turn: what one of them leaves on a server another one would find, and what it has set or prepared
    /// follows it.
    public var sharesServers: Bool {
        switch release {
        case .betweenTransactions: true
        case .atTheEnd: false
        }
    }

    /// Prepared statements are mapped, so that they survive a change of server (`max_prepared_statements`).
    public var mapsStatements: Bool {
        switch release {
        case .betweenTransactions: true
        case .atTheEnd: false
        }
    }

    /// `server_reset_query` runs when a client gives its server back, without `server_reset_query_always`.
    public var resetsOnRelease: Bool {
        switch mode {
        case .session: true
        case .transaction, .statement: false
        }
    }

    /// A server lives with its client long enough that a login for that client's startup values is worth it.
    public var logsInForStartupValues: Bool {
        switch mode {
        case .session: true
        case .transaction, .statement: false
        }
    }

    /// A client without a transaction may keep its server for as long as it likes (`idle_transaction_timeout`).
    public var mayIdleOutsideTransactions: Bool {
        switch mode {
        case .session: true
        case .transaction, .statement: false
        }
    }

    /// Nothing but an end of the client's connection takes a server from it that is not to be used any more (`server_fast_close`).
    public var keepsObsoleteServers: Bool {
        switch release {
        case .atTheEnd: true
        case .betweenTransactions: false
        }
    }
}

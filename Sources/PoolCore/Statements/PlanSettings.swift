import Bytes
import PostgresWire

/// What statements have made of the settings of a `PlanContext` on one server, beside what `ParameterSet` tells: by SET, SET LOCAL, SET
/// ROLE and `set_config`, and what became of that with the transaction.
struct PlanSettings: Sendable {
    private typealias Values = [Int: StatementEffect.Value]

    /// Of SETs that have been committed: they stay on the server.
    private var committed: Values = [:]
    /// Of SETs in the present transaction.
    private var set: Values = [:]
    private var local: Values = [:]
    /// A value may have changed in the present transaction, unseen.
    private var isUnknown = false
    /// A value that the server reports has changed, or may have: the report comes ahead of the next ReadyForQuery.
    private var awaitsReport = false
    private var awaitsEnd = false
    /// A value may have changed that stays on the server, unseen.
    private var isLost = false
    /// The present transaction has failed.
    private var hasFailed = false
    private var hasTemporary = false
    /// The present transaction has changed the catalogue, or may have.
    private(set) var changesCatalogue = false
    private var createsLasting = false
    /// A temporary object that outlives its transaction may hide a permanent one.
    private var hasLasting = false

    /// Something has changed that the end of the transaction may change again.
    var isTouched: Bool { isUnknown || awaitsReport || hasTemporary || changesCatalogue || !set.isEmpty || !local.isEmpty }

    /// No Parse gives what it would give another client: there may be temporary objects, or others that are not committed.
    var hidesObjects: Bool { hasTemporary || hasLasting || changesCatalogue }

    /// The values in force, by the places of `PlanContext.names`; nil: not known.
    func values(_ parameters: ParameterSet) -> [String?]? {
        if isUnknown || awaitsReport || isLost { return nil }
        var values: [String?] = []
        values.reserveCapacity(PlanContext.names.count)
        for (place, name) in PlanContext.names.enumerated() {
            var value: StatementEffect.Value
            if let reported = parameters[name] {
                value = .literal(reported)
            } else if let own = local[place] ?? set[place] {
                value = own
            } else if let brought = parameters.unreported.first(where: { $0.name.hasSameBytes(as: name) }) {
                value = brought.value.hasSameBytes(as: ParameterSet.unknown) ? committed[place] ?? .unknown : .literal(brought.value)
            } else {
                value = committed[place] ?? .standard
            }
            switch value {
            case .literal(let text): values.append(text)
            case .standard: values.append(nil)
            case .unknown: return nil
            }
        }
        return values
    }

    // MARK: What statements do

    /// A statement with this effect has run.
    mutating func apply(_ effect: StatementEffect, _ parameters: ParameterSet) {
        switch effect {
        case .setting(let name, let value, let isLocal):
            guard let place = PlanContext.place(of: name) else { return }
            if parameters[name] != nil {
                awaitsReport = true
            } else if isLocal {
                local[place] = value
            } else {
                set[place] = value
                local[place] = nil
            }
        case .resetAll:
            for place in PlanContext.names.indices {
                set[place] = .standard
                local[place] = nil
            }
            // RESET ALL passes over the role.
            set[1] = nil
            awaitsReport = true
        case .anySetting:
            isUnknown = true
        case .temporary(let isLasting):
            hasTemporary = true
            if isLasting { createsLasting = true }
        case .catalogue:
            changesCatalogue = true
        case .prepare, .reservedName, .transactionEnd, .isTaggedReset, .isAdded, .dropsNames:
            break
        }
    }

    /// A SET or RESET has run of which nothing more is known.
    mutating func lose() {
        isUnknown = true
        isLost = true
    }

    /// A command has failed.
    mutating func fail() { if isTouched { hasFailed = true } }

    /// A command that ends a transaction, or goes back to a savepoint, has run.
    mutating func end(isRollback: Bool) {
        guard isTouched else { return }
        if isRollback {
            // Of ROLLBACK TO SAVEPOINT nobody knows how far it goes back: ReadyForQuery tells which it was.
            awaitsEnd = true
        } else {
            finish(isCommitted: !hasFailed)
        }
        awaitsReport = true
    }

    /// ReadyForQuery has come. `isIdle`: the transaction is over.
    mutating func ready(isIdle: Bool) {
        awaitsReport = false
        if isIdle {
            if isTouched || awaitsEnd { finish(isCommitted: !hasFailed && !awaitsEnd) }
        } else if awaitsEnd, !set.isEmpty || !local.isEmpty || hasTemporary {
            isUnknown = true
            for place in set.keys { set[place] = .unknown }
            hasFailed = false
        }
        awaitsEnd = false
    }

    private mutating func finish(isCommitted: Bool) {
        if isCommitted {
            for (place, value) in set { committed[place] = value == .standard ? nil : value }
            if createsLasting { hasLasting = true }
        }
        (set, local) = ([:], [:])
        (isUnknown, hasFailed, hasTemporary, createsLasting, awaitsEnd) = (false, false, false, false, false)
        changesCatalogue = false
    }

    /// The client has left. `effects`: those of what may have run since.
    mutating func abandon(_ effects: [StatementEffect], _ parameters: ParameterSet) {
        for effect in effects { apply(effect, parameters) }
        // Whether its transaction ends with a commit or not, nobody looks.
        for place in set.keys { committed[place] = .unknown }
        set = [:]
    }

    /// The pooler has set or reset what stands in one of two sets of parameters.
    mutating func adjusted(_ from: ParameterSet, _ to: ParameterSet) {
        guard !committed.isEmpty else { return }
        for parameter in from.unreported + to.unreported {
            if let place = PlanContext.place(of: parameter.name), !to.hasUnknown(parameter.name) { committed[place] = nil }
        }
    }

    /// DISCARD ALL has run.
    mutating func discard() { self = PlanSettings() }
}

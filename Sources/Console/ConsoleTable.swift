/// Rows under columns: what SHOW and WHY answer.
public struct ConsoleTable: Sendable, Equatable {
    /// The columns.
    public let columns: [Column]
    /// The rows, each with a cell for each column.
    public private(set) var rows: [[Cell]]

    /// A table.
    public init(columns: [Column], rows: [[Cell]]) {
        self.columns = columns
        self.rows = rows
    }

    /// The rows that meet every condition, in the order asked for; rows that are alike in it keep theirs.
    public func selected(_ selection: Selection) -> ConsoleTable {
        var result = self
        for condition in selection.conditions {
            guard let index = columns.firstIndex(where: { $0.name == condition.column }) else { continue }
            result.rows.removeAll { $0[index].text != condition.value }
        }
        for order in selection.orders.reversed() {
            guard let index = columns.firstIndex(where: { $0.name == order.column }) else { continue }
            let sorted = result.rows.enumerated().sorted { left, right in
                if Self.precedes(left.element[index], right.element[index]) { return !order.isDescending }
                if Self.precedes(right.element[index], left.element[index]) { return order.isDescending }
                return left.offset < right.offset
            }
            result.rows = sorted.map(\.element)
        }
        return result
    }

    /// Numbers by size, texts by their bytes, NULL last.
    private static func precedes(_ left: Cell, _ right: Cell) -> Bool {
        switch (left, right) {
        case (.integer(let left), .integer(let right)): left < right
        case (.null, _): false
        case (_, .null): true
        default: (left.text ?? "").utf8.lexicographicallyPrecedes((right.text ?? "").utf8)
        }
    }
}

/// WHERE and ORDER BY of a SHOW.
public struct Selection: Sendable, Equatable {
    /// `column = value`.
    public struct Condition: Sendable, Equatable {
        /// The column's name.
        public var column: String
        /// Its value as text.
        public var value: String
    }

    /// One entry of ORDER BY.
    public struct Order: Sendable, Equatable {
        /// The column's name.
        public var column: String
        /// DESC.
        public var isDescending: Bool
    }

    /// All of them have to be met.
    public var conditions: [Condition] = []
    /// The first one counts most.
    public var orders: [Order] = []

    /// Everything, as it comes.
    public init() {}
}

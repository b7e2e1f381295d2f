import Terminal

/// The lines of `top`.
enum TopScreen {
    private static let reset = "\u{1b}[0m"

    /// Exactly `size.rows` lines of at most `size.columns` columns.
    static func lines(_ model: TopModel, size: Terminal.Size, place: String, clock: String, colours: Bool = true) -> [String] {
        let paint = { (text: String, code: String) in colours ? "\u{1b}[\(code)m\(text)\(reset)" : text }
        guard size.columns >= 20, size.rows >= 6 else {
            return Array([TerminalText.cut("too small", to: size.columns)] + Array(repeating: "", count: 100)).prefix(size.rows).map { $0 }
        }
        if model.showsHelp { return filled(help(size), size, footer: paint(TerminalText.fit("any key goes back", size.columns), "7")) }
        var lines = head(model, size, place, clock, paint)
        let waiting = model.view == .pools ? model.waiting : []
        let footer = footer(model, size, paint)
        // The waiting clients and their reason get half of the screen, and what the table does not need.
        let space = size.rows - lines.count - 1
        let room = max(space / 2, space - model.rows.count - 2)
        let why = (model.sample?.why ?? []).flatMap { wrapped(TerminalText.sanitized($0), size.columns) }.prefix(max(6, room * 2 / 3))
        let wanted = waiting.isEmpty ? 0 : min(waiting.count + 1 + why.count, room)
        lines += table(model, height: space - wanted, size, paint)
        while lines.count < size.rows - 1 - wanted { lines.append("") }
        if wanted > 1 { lines += waiters(model, waiting, Array(why), height: wanted, size, paint) }
        return filled(lines, size, footer: footer)
    }

    private static func filled(_ lines: [String], _ size: Terminal.Size, footer: String) -> [String] {
        var lines = Array(lines.prefix(size.rows - 1))
        while lines.count < size.rows - 1 { lines.append("") }
        return lines + [footer]
    }

    private static func head(
        _ model: TopModel, _ size: Terminal.Size, _ place: String, _ clock: String, _ paint: (String, String) -> String
    ) -> [String] {
        let sample = model.sample
        let rates = model.rates
        let pools = (sample?.pools ?? []).filter { $0.database != TopSample.console }
        func sum(_ path: KeyPath<TopSample.Pool, Int>) -> Int { pools.reduce(0) { $0 + $1[keyPath: path] } }
        var title = "\(sample?.version ?? "sluicectl top") at \(place)  \(clock)  every \(Figures.decimal(model.interval)) s"
        if sample?.isPaused == true { title += "  PAUSED" }
        if model.isFrozen { title += "  FROZEN" }
        let waiting = sum(\.clientsWaiting)
        let longest = pools.reduce(0) { max($0, $1.longestWait) }
        let percentiles: String
        if rates?.hasHistograms == true {
            percentiles = [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")].map { share, name in
                "\(name) \(rates?.wait(share).map(Figures.time) ?? "-")"
            }.joined(separator: "   ")
        } else {
            let total = rates?.total ?? TopSample.Counts()
            percentiles = "mean \(total.assignments > 0 ? Figures.time(total.waitTime / total.assignments) : "-")"
        }
        let total = rates?.total ?? TopSample.Counts()
        let worst = rates?.errors.first { $0.rate > 0 }
        let errorRate = rates?.errors.reduce(0) { $0 + $1.rate } ?? 0
        let errors = sample?.errors == nil ? "not counted here" : "\(Figures.decimal(errorRate))/s" + (worst.map { "   \($0.name)" } ?? "")
        let tabs = TopModel.View.allCases.map { $0 == model.view ? "[\($0.rawValue + 1) \($0.title)]" : " \($0.rawValue + 1) \($0.title) " }
        let lines = [
            TerminalText.cut(TerminalText.sanitized(title), to: size.columns),
            "Clients  \(sum(\.clientsActive) + waiting) connected   \(waiting) waiting",
            "Servers  \(sum(\.serversActive)) active   \(sum(\.serversIdle)) idle   \(sum(\.serversLogin)) starting or tested",
            "Waits    \(percentiles)   longest \(Figures.time(Double(longest)))",
            "Traffic  \(Figures.count(total.transactions)) tx/s   \(Figures.count(total.queries)) queries/s   "
                + "in \(Figures.bytes(total.received))/s   out \(Figures.bytes(total.sent))/s",
            "Errors   " + TerminalText.sanitized(errors),
        ].map { TerminalText.cut($0, to: size.columns) }
        return [
            paint(lines[0], "1"), lines[1], lines[2], waiting > 0 ? paint(lines[3], "33") : lines[3], lines[4],
            errorRate > 0 ? paint(lines[5], "31") : lines[5],
            TerminalText.cut(
                tabs.joined(separator: " ") + (model.filter.isEmpty ? "" : "   filter: \(TerminalText.sanitized(model.filter))"),
                to: size.columns),
        ]
    }

    private static func table(
        _ model: TopModel, height: Int, _ size: Terminal.Size, _ paint: (String, String) -> String
    ) -> [String] {
        guard height >= 1 else { return [] }
        var columns = model.columns
        // Spare room goes to the texts, a missing room is taken from them.
        let texts = columns.indices.filter { !columns[$0].isNumber }
        var spare = size.columns - columns.reduce(0) { $0 + $1.width + 1 } + 1
        var turn = 0
        while spare != 0, !texts.isEmpty, turn < 400 {
            let index = texts[turn % texts.count]
            let step = spare > 0 ? 1 : -1
            if columns[index].width + step >= 4 {
                columns[index].width += step
                spare -= step
            }
            turn += 1
        }
        let titles = zip(columns.indices, columns).map { index, column in
            TerminalText.fit(index == model.sortColumn ? column.title + "*" : column.title, column.width, right: column.isNumber)
        }
        var lines = [paint(TerminalText.fit(titles.joined(separator: " "), size.columns), "7")]
        let rows = model.rows
        let visible = max(0, height - 1)
        let selected = min(model.selected, max(0, rows.count - 1))
        let first = max(0, min(selected - visible + 1, rows.count - visible))
        for (index, row) in rows.enumerated().dropFirst(first).prefix(visible) {
            let cells = zip(columns, row.cells).map { TerminalText.fit(TerminalText.sanitized($1), $0.width, right: $0.isNumber) }
            let line = TerminalText.fit(cells.joined(separator: " "), size.columns)
            lines.append(index == selected ? paint(line, row.isAlarming ? "1;33;44" : "1;44") : row.isAlarming ? paint(line, "33") : line)
        }
        if rows.isEmpty, visible > 0 {
            let text =
                model.sample == nil
                ? (model.message.isEmpty ? "no answer yet" : "") : model.filter.isEmpty ? "nothing here" : "nothing here fits the filter"
            lines.append(text)
        }
        return lines
    }

    private static func waiters(
        _ model: TopModel, _ waiting: [TopModel.Row], _ why: [String], height: Int, _ size: Terminal.Size,
        _ paint: (String, String) -> String
    ) -> [String] {
        var title = "WAITING: \(waiting.count)"
        if let pool = model.sample?.whyPool, model.waitingCount > waiting.count {
            title += " of \(model.waitingCount), in pool \(TerminalText.sanitized("\(pool.database)/\(pool.user)"))"
        }
        var lines = [paint(TerminalText.fit(title + ", the longest first", size.columns), "7")]
        let reasons = why.prefix(max(0, height - 2))
        for row in waiting.prefix(max(0, height - 1 - reasons.count)) {
            let text =
                "\(row.cells[6].isEmpty ? "" : TerminalText.fit(row.cells[6], 7, right: true))  client \(row.cells[0])  "
                + "\(row.cells[2])@\(row.cells[1])  \(row.cells[4])  \(row.cells[5])"
            lines.append(TerminalText.cut(TerminalText.sanitized(text), to: size.columns))
        }
        return lines + reasons
    }

    /// A text in lines; the second one and those after it are indented.
    private static func wrapped(_ text: String, _ columns: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, TerminalText.width(line) + 1 + TerminalText.width(String(word)) > columns {
                lines.append(line)
                line = "   "
            }
            line += line.isEmpty || line.last == " " ? word : " " + word
        }
        return (lines + [line]).map { TerminalText.cut($0, to: columns) }
    }

    private static func footer(_ model: TopModel, _ size: Terminal.Size, _ paint: (String, String) -> String) -> String {
        if let prompt = model.promptText { return paint(TerminalText.fit(prompt, size.columns), "1;7") }
        if let pending = model.pending {
            return paint(TerminalText.fit("\(pending): waiting for the pooler; Esc gives up", size.columns), "1;7")
        }
        if !model.message.isEmpty { return paint(TerminalText.fit(TerminalText.sanitized(model.message), size.columns), "1;7") }
        let keys = "q quit  Tab view  s sort  S reverse  f filter  p pause  r resume  k kill  ? help"
        return paint(TerminalText.fit(keys, size.columns), "7")
    }

    private static func help(_ size: Terminal.Size) -> [String] {
        """
        sluicectl top

        Tab 1 2 3 4   pools, clients, servers, errors
        up down       choose a row (its pool is explained); also PgUp, PgDn, Home, End
        s < >         sort by the next or the previous column (marked *)
        S             turn the order
        f /           show only rows that contain a text; Esc takes it off
        space         freeze, and go on
        + -           ask less often, more often

        p             pause the database of the row: servers finish, clients wait
        r             resume it
        c             reconnect: replace its servers as they are released
        k             pools: drop everything of the database; clients: drop this one
        Esc           give up a pause that still waits
        Ctrl-Z        stop, to be continued with fg
        q Ctrl-C      end
        """.split(separator: "\n", omittingEmptySubsequences: false).map { TerminalText.cut(String($0), to: size.columns) }
    }
}

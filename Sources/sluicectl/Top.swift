import ArgumentParser
import Glibc
import PostgresClient
import Terminal

/// `sluicectl top`.
struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A live view: clients, servers, waits, throughput, errors, who waits and why.",
        discussion: "Press ? in it for the keys. Needs a terminal of 20 columns and 6 lines at least; made for 80 by 24.")

    @OptionGroup var connection: ConnectionOptions

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Seconds between two looks.", valueName: "SECONDS"))
    var interval = 2.0

    @Flag(help: "No colours.")
    var monochrome = false

    mutating func validate() throws {
        guard interval >= 0.1, interval <= 3600 else { throw ValidationError("--interval: expected seconds, from 0.1 to 3600") }
    }

    func run() throws {
        guard Terminal.isInput, Terminal.isOutput else {
            throw CommandFailure(status: 2, "top needs a terminal; `sluicectl pools --watch 2` works without one")
        }
        // A password is asked for before the screen is taken.
        let first = try connection.connect()
        guard let events = TerminalEvents() else { throw CommandFailure(status: 2, "no file descriptors are left") }
        guard RawTerminal.enter() else { throw CommandFailure(status: 2, "the terminal does not take raw mode") }
        var session = TopSession(first, options: connection, events: events, interval: interval, colours: !monochrome)
        let status = session.run()
        RawTerminal.leave()
        if status != 0 { throw ExitCode(status) }
    }
}

/// The loop of `top`: looks, draws, waits for keys.
private struct TopSession: ~Copyable {
    private let options: ConnectionOptions
    private let place: String
    private let colours: Bool
    private var events: TerminalEvents
    private var model: TopModel
    private var source: TopSource?
    /// Carries commands that may have to wait, such as PAUSE.
    private var commands: PostgresConnection?
    private var nextLook = 0.0

    init(_ connection: PostgresConnection, options: ConnectionOptions, events: consuming TerminalEvents, interval: Double, colours: Bool) {
        self.options = options
        place = connection.place
        self.colours = colours
        source = TopSource(connection, timeout: options.timeout, interrupt: events.descriptor)
        self.events = events
        model = TopModel(interval: interval)
    }

    /// Until somebody ends it. Returns the exit status.
    mutating func run() -> Int32 {
        look()
        while true {
            draw()
            let left = nextLook - TopSource.clock()
            switch events.next(milliseconds: model.pending == nil ? Int(left * 1000) : min(200, Int(left * 1000))) {
            case .timeout: break
            case .closed: return 0
            case .signal(.windowChanged): continue
            case .signal(.stop): RawTerminal.suspend()
            case .signal(let name): return name == .interrupt ? 130 : 128 + name.rawValue
            case .keys(let keys):
                for key in keys {
                    switch model.press(key) {
                    case .quit: return 0
                    case .suspend: RawTerminal.suspend()
                    case .refresh: nextLook = 0
                    case .send(let command): send(command)
                    case .cancelSent: commands?.cancel()
                    case .none: break
                    }
                }
            }
            pollCommand()
            if TopSource.clock() >= nextLook { look() }
        }
    }

    private mutating func look() {
        nextLook = TopSource.clock() + model.interval
        if model.isFrozen { return }
        if source == nil {
            do {
                var quiet = options
                quiet.neverAsks = true
                source = TopSource(try quiet.connect(interrupt: events.descriptor), timeout: options.timeout, interrupt: events.descriptor)
                model.message = ""
            } catch {
                model.message = "no connection, trying again: \(error.lines.first ?? "")"
                return
            }
        }
        do throws(PostgresError) {
            if let sample = try source?.sample(model.view, explaining: model.selectedPool) { model.take(sample) }
        } catch .interrupted {
            // The signal is still pending; the loop takes it next.
        } catch {
            if case .server = error {} else { source = nil }
            model.message = error.description
        }
    }

    private func draw() {
        guard let size = Terminal.size else { return }
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        let two = { (number: Int32) in number < 10 ? "0\(number)" : String(number) }
        let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        let lines = TopScreen.lines(model, size: size, place: place, clock: clock, colours: colours)
        Terminal.write("\u{1b}[H" + lines.map { $0 + "\u{1b}[K" }.joined(separator: "\r\n") + "\u{1b}[J")
    }

    private mutating func send(_ command: String) {
        if let pending = model.pending {
            model.message = "\(pending) is not over yet"
            return
        }
        do {
            if commands == nil {
                var quiet = options
                quiet.neverAsks = true
                commands = try quiet.connect(interrupt: events.descriptor)
            }
            try commands?.begin(command)
            model.pending = command
        } catch {
            commands = nil
            model.message = (error as? CommandFailure)?.lines.first ?? "\(error)"
        }
    }

    private mutating func pollCommand() {
        guard let command = model.pending, let connection = commands else { return }
        do throws(PostgresError) {
            guard let result = try connection.poll() else { return }
            model.message = "\(result.tag.isEmpty ? command : result.tag): done"
        } catch {
            if case .server = error {} else { commands = nil }
            model.message = "\(command): \(error.description)"
        }
        model.pending = nil
        nextLook = 0
    }
}

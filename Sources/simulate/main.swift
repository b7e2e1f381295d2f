#if DEBUG
    import Glibc
    import Simulation

    // Plays worlds from seeds, until one of them shows a fault.
    //
    //   simulate [--seconds N] [--seed N] [--count N] [--trace] [--lines N] [--log FILE] [--plant FAULT]

    struct Arguments {
        var seconds = 60.0
        var seed: UInt64?
        var count = Int.max
        var lines = 0
        var log: String?
        var fault: PlantedFault?

        init(_ words: [String]) {
            var words = words.dropFirst()
            func value(_ name: String) -> String {
                guard let word = words.popFirst() else { complain("\(name) wants a value") }
                return word
            }
            while let word = words.popFirst() {
                switch word {
                case "--seconds": seconds = Double(value(word)) ?? seconds
                case "--seed":
                    seed = UInt64(value(word))
                    if count == .max { count = 1 }
                case "--count": count = Int(value(word)) ?? count
                case "--lines": lines = Int(value(word)) ?? lines
                case "--trace": lines = .max
                case "--log": log = value(word)
                case "--plant":
                    let name = value(word)
                    fault = PlantedFault(rawValue: name)
                    if fault == nil { complain("no fault is called \(name): expected one of \(PlantedFault.allCases.map(\.rawValue))") }
                default: complain("unknown argument \(word)")
                }
            }
        }
    }

    func complain(_ text: String) -> Never {
        tell("simulate: \(text)", to: 2)
        exit(2)
    }

    // The order of Swift's sets and dictionaries is part of what happens.
    if getenv("SWIFT_DETERMINISTIC_HASHING") == nil {
        setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
        var words: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) }
        words.append(nil)
        execv("/proc/self/exe", words)
        complain("can't start itself anew")
    }

    Crash.watch()
    let arguments = Arguments(CommandLine.arguments)
    var options = SimulationOptions()
    options.lines = arguments.lines
    options.log = arguments.log
    options.fault = arguments.fault
    var next = arguments.seed ?? UInt64.random(in: 0..<1_000_000_000)

    func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    let begin = seconds()
    var (worlds, steps, logins) = (0, 0, 0)
    while worlds < arguments.count, worlds == 0 || seconds() - begin < arguments.seconds {
        Crash.seed = next
        do {
            let start = seconds()
            let report = try Simulation.run(seed: next, options)
            for line in report.lines { tell(line) }
            let time = Double(Int((seconds() - start) * 100)) / 100
            if let failure = report.failure {
                tell("seed \(next): \(failure)")
                tell("  \(report.summary)")
                tell("  step \(report.steps), hash \(String(report.hash, radix: 16)), \(time) s")
                exit(1)
            }
            tell(
                "seed \(next): \(report.steps) steps, \(Double(report.time / 10_000) / 100) virtual s, \(report.logins) logins, hash \(String(report.hash, radix: 16)), \(time) s; \(report.summary)"
            )
            if getenv("VERBOSE") != nil { tell("  \(report.farewells)") }
            (worlds, steps, logins) = (worlds + 1, steps + report.steps, logins + report.logins)
        } catch {
            complain("seed \(next): \(error)")
        }
        next += 1
    }
    tell("\(worlds) worlds, \(steps) steps, \(logins) logins, no fault")
#else
    print("simulate: in a debug build only")
#endif

import Workloads

/// Does a fixed piece of work a given number of times, for callgrind to count: `instructions NAME TURNS`. Without arguments it
/// prints the names and what one turn is.
@main
enum Instructions {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count == 2, let name = arguments.first, let turns = arguments.last.flatMap({ Int($0) }), turns > 0 else {
            for workload in Workload.all { print("\(workload.name)\t\(workload.unit)") }
            return
        }
        guard let workload = Workload.all.first(where: { $0.name == name }) else { fatalError("no workload is called \(name)") }
        print(workload.run(turns))
    }
}

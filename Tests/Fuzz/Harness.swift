// What all fuzzers have in common: libFuzzer calls, FUZZ_TARGET names the part to try, a trap or a broken property is a finding. run.sh
// compiles this file together with one room's sources and its fuzzers, which name their parts by an enum `FuzzTarget`.

import Glibc

extension FuzzTarget {
    static let chosen: FuzzTarget = {
        guard let name = getenv("FUZZ_TARGET"), let target = FuzzTarget(rawValue: String(cString: name)) else {
            fatalError("FUZZ_TARGET is not one of \(allCases.map(\.rawValue))")
        }
        return target
    }()
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    FuzzTarget.chosen.run([UInt8](UnsafeBufferPointer(start: data, count: count)))
    return 0
}

func check(_ holds: Bool, _ property: StaticString) {
    if !holds { fatalError("broken property: \(property)") }
}

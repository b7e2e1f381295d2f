import Foundation
import ModelPostgres

// The model PostgreSQL as a program, for Tests/differential/model.py, which plays the same messages to it and to the real one.
//
// In: a length of four bytes and a message of the protocol, again and again. Out: a length, the answer (whole messages), and 1 if the
// connection was ended, else 0. A length of 0 asks for a new connection; its answer is what was committed so far, a line each.

func read(_ count: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    while bytes.count < count {
        guard let part = try? FileHandle.standardInput.read(upToCount: count - bytes.count), !part.isEmpty else { return nil }
        bytes += part
    }
    return bytes
}

func answer(_ bytes: [UInt8], isClosed: Bool) {
    let length = (0..<4).map { UInt8(truncatingIfNeeded: bytes.count >> (24 - 8 * $0)) }
    FileHandle.standardOutput.write(Data(length + bytes + [isClosed ? 1 : 0]))
}

var postgres = ModelPostgres(isExact: true)
while let length = read(4) {
    let count = length.reduce(0) { $0 << 8 | Int($1) }
    guard count > 0 else {
        answer(Array(postgres.committed.joined(separator: "\n").utf8), isClosed: false)
        postgres = ModelPostgres(isExact: true)
        continue
    }
    guard let message = read(count) else { break }
    answer(postgres.receive(message).flatMap(\.self), isClosed: postgres.isClosed)
}

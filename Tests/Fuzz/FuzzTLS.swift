// Fuzzes the room TLS with libFuzzer; run.sh compiles this file together with the room's sources and Harness.swift.
//
// OpenSSL has fuzzers of its own; here it is the code around it that bytes of strangers meet: the buffers, the sessions, the names in
// certificates, the files in PEM form. FUZZ_CERTIFICATE and FUZZ_KEY name two files.

import COpenSSL
import Glibc

enum FuzzTarget: String, CaseIterable {
    case handshake, records, names, pem, protocols

    func run(_ bytes: [UInt8]) {
        switch self {
        case .handshake: fuzzHandshake(bytes)
        case .records: fuzzRecords(bytes)
        case .names: fuzzNames(bytes)
        case .pem: fuzzPEM(bytes)
        case .protocols: fuzzProtocols(bytes)
        }
    }
}

private func file(_ variable: String) -> TLSConfiguration.File {
    guard let path = getenv(variable), let stream = fopen(path, "r") else { fatalError("\(variable) names no file") }
    var content = [UInt8](repeating: 0, count: 1 << 16)
    content.removeLast(content.count - fread(&content, 1, content.count, stream))
    fclose(stream)
    return TLSConfiguration.File(path: String(cString: path), content: content)
}

private struct Contexts: Sendable {
    let accepting: TLSContext
    let connecting: TLSContext

    static let shared: Contexts = {
        var accepting = TLSConfiguration(side: .client)
        accepting.certificate = file("FUZZ_CERTIFICATE")
        accepting.key = file("FUZZ_KEY")
        return try! Contexts(accepting: TLSContext(accepting), connecting: TLSContext(TLSConfiguration(side: .server)))
    }()
}

/// The first byte says how large the pieces are in which the rest arrives, and which side gets them.
private func fuzzHandshake(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let buffers = TLSBuffers(receiveCapacity: 4096)
    let session =
        first % 2 == 0
        ? try! TLSSession(accepting: Contexts.shared.accepting, buffers: buffers)
        : try! TLSSession(connecting: Contexts.shared.connecting, host: "localhost", port: 1, buffers: buffers)
    if first % 2 == 1 { _ = session.start() }
    feed(session, buffers, input.dropFirst(), by: Int(first / 2) + 1)
    check(!session.isEstablished, "no stranger gets through a handshake")
    check(!session.send([1, 2, 3].span), "nothing is sent before a handshake is done")
    check(session.peerCertificate == nil && session.endPoint == nil, "nothing is known of a stranger")
}

/// What arrives instead of, or between, the records of an established session.
private func fuzzRecords(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let (near, far) = (TLSBuffers(receiveCapacity: 1 << 15), TLSBuffers(receiveCapacity: 1 << 15))
    let server = try! TLSSession(accepting: Contexts.shared.accepting, buffers: near)
    let client = try! TLSSession(connecting: Contexts.shared.connecting, host: nil, port: 1, buffers: far)
    _ = client.start()
    while !server.isEstablished {
        _ = server.receive(take(far).span)
        _ = client.receive(take(near).span)
    }
    let text = [UInt8](repeating: 7, count: Int(first) * 100)
    check(client.send(text.span), "an established session sends")
    let sent = take(far)
    // A prefix of what was really sent, then the input.
    let cut = min(sent.count, input.count > 1 ? Int(input[1]) * 200 : 0)
    var arrived = feed(server, near, sent[..<cut], by: 4096)
    if input.count > 2 { arrived += feed(server, near, input.dropFirst(2), by: Int(first % 16) + 1) }
    check(text.starts(with: arrived), "nothing comes out that was not sent")
    _ = server.send([1].span)
    server.shutdown()
}

private func take(_ buffers: TLSBuffers) -> [UInt8] {
    let bytes = buffers.ciphertext.withUnsafeBufferPointer { Array($0) }
    buffers.clear()
    return bytes
}

@discardableResult
private func feed(_ session: TLSSession, _ buffers: TLSBuffers, _ bytes: ArraySlice<UInt8>, by size: Int) -> [UInt8] {
    var rest = bytes
    var out: [UInt8] = []
    var hasFailed = false
    while !rest.isEmpty {
        let piece = Array(rest.prefix(size))
        rest = rest.dropFirst(size)
        switch session.receive(piece.span) {
        case .plaintext(let count), .closed(let count):
            check(!hasFailed, "a session that has failed stays so")
            out += buffers.plaintext(count).withUnsafeBufferPointer { Array($0) }
        case .failed: hasFailed = true
        }
        buffers.clear()
    }
    return out
}

/// A certificate in DER form.
private func fuzzNames(_ bytes: [UInt8]) {
    bytes.withUnsafeBufferPointer { source in
        var at = source.baseAddress
        let pointer = at == nil ? nil : d2i_X509(nil, &at, source.count)
        ERR_clear_error()
        guard let pointer else { return }
        let certificate = Certificate(taking: pointer)
        let names = certificate.names
        check(names.names.allSatisfy { !$0.utf8.contains(0) && !$0.isEmpty }, "names hold no NUL")
        if let endPoint = certificate.endPoint { check((16...64).contains(endPoint.count), "an end point is a hash") }
        _ = certificate.untimeliness
        check(ERR_peek_error() == 0, "no error is left for somebody else to find")
    }
}

private func fuzzPEM(_ bytes: [UInt8]) {
    let file = TLSConfiguration.File(path: "x", content: bytes)
    if let found = try? file.certificates(of: "setting") { check(!found.isEmpty, "certificates are some") }
    if let key = try? file.privateKey(of: "setting") { EVP_PKEY_free(key) }
    check(ERR_peek_error() == 0, "no error is left for somebody else to find")
}

private func fuzzProtocols(_ bytes: [UInt8]) {
    guard let protocols = TLSProtocols(parsing: String(decoding: bytes, as: UTF8.self)) else { return }
    check(!protocols.isEmpty && TLSProtocols.all.isSuperset(of: protocols), "some version is allowed")
}

import CZlib
import Compression
import Testing

@Suite struct GzipTests {
    /// What zlib makes of a file in gzip format.
    private func expanded(_ bytes: [UInt8], upTo room: Int) -> [UInt8]? {
        var stream = z_stream()
        guard inflateInit2_(&stream, MAX_WBITS + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        var source = bytes
        var result = [UInt8](repeating: 0, count: room)
        var status = Z_OK
        source.withUnsafeMutableBufferPointer { source in
            result.withUnsafeMutableBufferPointer { target in
                stream.next_in = source.baseAddress
                stream.avail_in = UInt32(source.count)
                stream.next_out = target.baseAddress
                stream.avail_out = UInt32(target.count)
                status = inflate(&stream, Z_FINISH)
            }
        }
        return status == Z_STREAM_END ? Array(result.prefix(Int(stream.total_out))) : nil
    }

    @Test(arguments: [0, 1, 100, 100_000, 3_000_000])
    func comesBackAsItWas(count: Int) throws {
        var number: UInt64 = 1
        let noise = (0..<count).map { _ -> UInt8 in
            number = number &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: number >> 56)
        }
        for bytes in [noise, [UInt8](repeating: 65, count: count)] {
            let compressed = try #require(Gzip.compress(bytes))
            #expect(compressed.starts(with: [0x1f, 0x8b]))
            #expect(expanded(compressed, upTo: count + 1) == bytes)
        }
    }

    @Test func repetitionsGetSmall() throws {
        let text = (0..<1000).flatMap { Array("sluice_queries_total{database=\"app\",user=\"user\($0)\"} 1\n".utf8) }
        #expect(try #require(Gzip.compress(text)).count < text.count / 8)
    }
}

import CZlib

/// The gzip format (RFC 1952), by zlib.
public enum Gzip {
    /// The bytes, compressed for speed: metrics are text that repeats itself, so more effort saves little. nil when there is no memory.
    public static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count <= Int(UInt32.max) else { return nil }
        var stream = z_stream()
        // 16 beyond the size of the window asks for gzip's header and trailer.
        let begun = deflateInit2_(
            &stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard begun == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        let room = Int(deflateBound(&stream, UInt(bytes.count)))
        guard room <= Int(UInt32.max) else { return nil }
        var isDone = false
        let result = [UInt8](unsafeUninitializedCapacity: room) { target, count in
            bytes.withUnsafeBufferPointer { source in
                // zlib reads through this pointer and writes nothing there.
                stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
                stream.avail_in = UInt32(source.count)
                stream.next_out = target.baseAddress
                stream.avail_out = UInt32(room)
                isDone = deflate(&stream, Z_FINISH) == Z_STREAM_END
            }
            count = room - Int(stream.avail_out)
        }
        return isDone ? result : nil
    }
}

/// Memory of objects, for SHOW MEM.
public enum ObjectSize {
    #if DEBUG
        /// While a simulation runs nothing depends on what was allocated before.
        nonisolated(unsafe) static var isSimulated = false
    #endif

    /// How many bytes the allocator has given an object, without what it points to.
    public static func of(_ object: AnyObject) -> Int {
        #if DEBUG
            if isSimulated { return 64 }
        #endif
        return Int(allocatedSize(Unmanaged.passUnretained(object).toOpaque()))
    }
}

/// glibc's; its header is not part of Swift's module of glibc.
@_silgen_name("malloc_usable_size")
private func allocatedSize(_ memory: UnsafeMutableRawPointer) -> UInt

/// Memory of objects, for SHOW MEM.
public enum ObjectSize {
    /// How many bytes the allocator has given an object, without what it points to.
    public static func of(_ object: AnyObject) -> Int {
        Int(allocatedSize(Unmanaged.passUnretained(object).toOpaque()))
    }
}

/// glibc's; its header is not part of Swift's module of glibc.
@_silgen_name("malloc_usable_size")
private func allocatedSize(_ memory: UnsafeMutableRawPointer) -> UInt

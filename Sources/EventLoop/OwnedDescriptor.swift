/// A descriptor on its way from one owner to another: closed if it does not arrive.
public struct OwnedDescriptor: ~Copyable, Sendable {
    private let number: Int32

    /// Takes over a descriptor.
    public init(_ number: Int32) { self.number = number }

    deinit { Kernel.close(number) }

    /// Gives the descriptor to the caller, who owns it from here on.
    public consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }
}

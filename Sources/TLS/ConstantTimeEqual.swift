import COpenSSL

/// Whether two secrets are equal, in a time that tells nothing about where they differ. Their lengths are not kept secret.
public func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
}

/// Whether two secrets in spans are equal, in a time that tells nothing about where they differ. Their lengths are not kept secret.
public func constantTimeEqual(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    return left.withUnsafeBufferPointer { left in
        right.withUnsafeBufferPointer { right in left.isEmpty || CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0 }
    }
}

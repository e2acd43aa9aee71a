import COpenSSL
import Core
import Engine

/// Source of all three: OpenSSL's manual, RAND_bytes(3), EVP_Digest(3), CRYPTO_memcmp(3).
extension LoopHost: Cryptography {
    func randomBytes(_ count: Int) throws(Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let code = bytes.withUnsafeMutableBufferPointer {
            RAND_bytes($0.baseAddress, Int32($0.count))
        }
        guard code == 1 else {
            throw Failure(.internal, "there is no randomness for a key; try again")
        }
        return bytes
    }

    func sha256(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let code = bytes.withUnsafeBytes { bytes in
            digest.withUnsafeMutableBufferPointer { digest in
                EVP_Digest(
                    bytes.baseAddress, bytes.count, digest.baseAddress, nil, EVP_sha256(), nil)
            }
        }
        // SHA-256 of bytes in memory fails only where OpenSSL was built without it.
        precondition(code == 1, "OpenSSL has no SHA-256")
        return digest
    }

    func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return left.withUnsafeBytes { left in
            right.withUnsafeBytes { right in
                CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
            }
        }
    }
}

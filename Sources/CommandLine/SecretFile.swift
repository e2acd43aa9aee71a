#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A file for a token: new, and readable by its owner only from its first byte on.
enum SecretFile {
    /// Whether it could be made; what is there is not overwritten.
    static func check(_ path: String) throws(CommandFailure) {
        if access(path, F_OK) == 0 {
            throw CommandFailure(
                .exists, "there is '\(path)'; name a new file, or move that one away first")
        }
        let folder =
            path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) : "."
        guard access(folder.isEmpty ? "/" : folder, W_OK) == 0 else {
            throw CommandFailure(.io, "cannot write '\(path)': \(OS.text(errno))")
        }
    }

    static func write(_ secret: String, to path: String) throws(CommandFailure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        let bytes = Array((secret + "\n").utf8)
        guard descriptor >= 0, bytes.withUnsafeBytes({ OS.write(descriptor, $0) }) == bytes.count
        else {
            let reason = OS.text(errno)
            if descriptor >= 0 { close(descriptor) }
            throw CommandFailure(
                .io,
                "cannot write '\(path)': \(reason). The token is lost; make another with principals rotate"
            )
        }
        close(descriptor)
    }
}

extension OS {
    /// The number of a user of this machine.
    static func number(ofUser name: String) -> UInt32? {
        getpwnam(name).map { UInt32($0.pointee.pw_uid) }
    }
}

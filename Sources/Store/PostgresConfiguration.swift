import Core
import Glibc

/// The settings of a private instance, in a file of their own: written anew with every start, so
/// that a newer program brings newer ones.
enum PostgresConfiguration {
    private static let file = "dormouse.conf"

    static func write(_ folders: PostgresFolders, into cluster: String) throws(Failure) {
        let socket = folders.socket.replacing("'", with: "''")
        try Self.replace(
            "\(cluster)/\(Self.file)", owner: folders.user,
            with: """
                # Written by dormoused with every start. To change something, add it to
                # postgresql.conf, below the line that includes this file.
                listen_addresses = ''
                unix_socket_directories = '\(socket)'
                unix_socket_permissions = 0700
                port = 5432
                max_connections = 50
                fsync = on
                full_page_writes = on
                synchronous_commit = on
                shared_buffers = 256MB
                huge_pages = try
                wal_compression = on
                # Chunks are written once, so a checkpoint costs little more than what has to be written in any
                # case. Files of the write-ahead log are used again early, and need not be filled with zeros
                # first, and a crash leaves at most this much to be read again.
                min_wal_size = 1GB
                max_wal_size = 1GB
                checkpoint_timeout = 15min
                checkpoint_completion_target = 0.9
                # No result is large enough for the compiler to pay off.
                jit = off
                # A week of logs, which overwrite themselves.
                logging_collector = on
                log_directory = 'log'
                log_filename = 'postgresql-%a.log'
                log_truncate_on_rotation = on
                log_rotation_age = 1d
                log_rotation_size = 0

                """)
    }

    /// Lets the cluster's own configuration, which belongs to its operator, begin with ours.
    static func include(_ folders: PostgresFolders, into cluster: String) throws(Failure) {
        try Self.write(folders, into: cluster)
        let path = "\(cluster)/postgresql.conf"
        guard let bytes = FileSystem.contents(path) else {
            throw PostgresFolders.failure("read \(path)")
        }
        let text = String(decoding: bytes, as: UTF8.self)
        try Self.replace(
            path, owner: folders.user, with: text + "\ninclude_if_exists = '\(Self.file)'\n\n")
    }

    /// Writes the whole file under another name first, so that a crash leaves the old or the new.
    private static func replace(_ path: String, owner: SystemUser?, with text: String)
        throws(Failure)
    {
        let unfinished = path + ".new"
        unlink(unfinished)
        guard
            FileSystem.create(unfinished, text, mode: 0o600)
        else { throw PostgresFolders.failure("write \(unfinished)") }
        if let owner {
            guard chown(unfinished, owner.id, owner.group) == 0 else {
                throw PostgresFolders.failure("give \(unfinished) to \(owner.name)")
            }
        }
        guard rename(unfinished, path) == 0 else {
            throw PostgresFolders.failure("rename \(unfinished)")
        }
    }
}

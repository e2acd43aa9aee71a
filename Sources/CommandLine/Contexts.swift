import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Names for servers' addresses, in a file that only its owner can read: addresses may hold tokens.
///
/// A line is `NAME ADDRESS`; the line of the selected one begins with `* `. Lines of `#` are comments
/// and are not kept.
struct Contexts: Hashable {
    struct Entry: Hashable {
        let name: String
        let address: String
    }

    /// By name.
    private(set) var entries: [Entry] = []
    private(set) var selected: String?

    static let bytesMax = 1 << 20

    // MARK: What is in it

    subscript(name: String) -> String? {
        self.entries.first { $0.name == name }?.address
    }

    /// Adds it, or gives it another address. The first one is selected.
    mutating func set(_ name: String, _ address: String) {
        self.entries.removeAll { $0.name == name }
        self.entries.append(Entry(name: name, address: address))
        self.entries.sort { $0.name < $1.name }
        if self.entries.count == 1 { self.selected = name }
    }

    mutating func remove(_ name: String) {
        self.entries.removeAll { $0.name == name }
        if self.selected == name { self.selected = nil }
    }

    mutating func select(_ name: String) {
        self.selected = name
    }

    /// Throws `usage` with the nearest name.
    func find(_ name: String) throws(CommandFailure) -> String {
        if let address = self[name] { return address }
        let advice =
            Text.nearest(to: name, in: self.entries.map(\.name)).map { "did you mean '\($0)'?" }
            ?? "'dormouse context list' shows them, 'dormouse context add' makes one"
        throw .usage("there is no context '\(name)'; \(advice)")
    }

    // MARK: Text

    var text: String {
        var text = "# Servers' addresses, written by 'dormouse context'.\n"
        for entry in self.entries {
            let mark = entry.name == self.selected ? "* " : ""
            text += "\(mark)\(entry.name) \(entry.address)\n"
        }
        return text
    }

    init() {}

    /// Throws the number of the line that is none.
    init(_ text: String) throws(BadLine) {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            var words = line.split(separator: " ").map(String.init)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            let isSelected = first == "*"
            if isSelected { words.removeFirst() }
            guard words.count == 2, self[words[0]] == nil else {
                throw BadLine(number: index + 1)
            }
            self.entries.append(Entry(name: words[0], address: words[1]))
            if isSelected { self.selected = words[0] }
        }
        self.entries.sort { $0.name < $1.name }
    }

    struct BadLine: Error {
        let number: Int
    }
}

/// The file.
enum ContextFile {
    /// nil: the environment names no folder.
    static var path: String? {
        if let folder = OS.environment("XDG_CONFIG_HOME"), folder.hasPrefix("/") {
            return "\(folder)/dormouse/contexts"
        }
        return OS.environment("HOME").map { "\($0)/.config/dormouse/contexts" }
    }

    /// Empty when there is no file.
    static func read() throws(CommandFailure) -> Contexts {
        guard let path = self.path else { return Contexts() }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return Contexts() }
            throw Self.failure("cannot read '\(path)'", errno)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw Self.failure("cannot read '\(path)'", errno)
        }
        guard status.st_mode & 0o077 == 0 else {
            throw CommandFailure(
                .configuration,
                "others can read '\(path)', which may hold tokens; run: chmod 600 '\(path)'")
        }
        let bytes = try LineReader.all(of: descriptor, bytesMax: Contexts.bytesMax, what: path)
        do throws(Contexts.BadLine) {
            return try Contexts(String(decoding: bytes, as: UTF8.self))
        } catch {
            throw CommandFailure(
                .configuration,
                "line \(error.number) of '\(path)' is not 'NAME ADDRESS', or the name stands twice; "
                    + "correct it, or remove the file")
        }
    }

    /// Replaces the file as a whole, so that nobody sees half of it.
    static func write(_ contexts: Contexts) throws(CommandFailure) {
        guard let path = self.path else {
            throw CommandFailure(
                .configuration, "there is no place for contexts; set HOME or XDG_CONFIG_HOME")
        }
        try self.makeFolders(above: path)
        let new = "\(path).\(getpid())"
        let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure("cannot write '\(new)'", errno) }
        let bytes = Array(contexts.text.utf8)
        let count = bytes.withUnsafeBytes { OS.write(descriptor, $0) }
        guard count == bytes.count, fsync(descriptor) == 0, close(descriptor) == 0,
            rename(new, path) == 0
        else {
            let error = errno
            unlink(new)
            throw Self.failure("cannot write '\(path)'", error)
        }
    }

    private static func makeFolders(above path: String) throws(CommandFailure) {
        let parts = path.split(separator: "/").dropLast()
        for count in parts.indices.map({ $0 + 1 }) {
            let folder = "/" + parts.prefix(count).joined(separator: "/")
            guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
                throw Self.failure("cannot make the folder '\(folder)'", errno)
            }
        }
    }

    private static func failure(_ what: String, _ error: Int32) -> CommandFailure {
        CommandFailure(.io, "\(what): \(OS.text(error))")
    }
}

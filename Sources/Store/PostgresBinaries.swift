import Core

/// Where initdb, pg_ctl and postgres are.
struct PostgresBinaries {
    let folder: String

    var initdb: String { self.folder + "/initdb" }
    var pgctl: String { self.folder + "/pg_ctl" }

    private static let debianFolder = "/usr/lib/postgresql"

    /// The newest version from 15 on, or exactly `version`, which an existing data folder needs.
    static func find(version: Int?) throws(Failure) -> PostgresBinaries {
        let names = FileSystem.names(in: Self.debianFolder)
        let installed = names.compactMap { Int($0) }.sorted(by: >)
            .map { (version: $0, folder: "\(Self.debianFolder)/\($0)/bin") }
        let candidates = (installed + Self.configured).filter {
            FileSystem.isExecutable($0.folder + "/initdb")
        }
        for candidate in candidates where candidate.version >= 15 {
            if version == nil || version == candidate.version {
                return PostgresBinaries(folder: candidate.folder)
            }
        }
        let wanted = version.map { "of version \($0), which made the data folder" } ?? "15 or later"
        throw Failure(
            .failedPrecondition,
            "no Postgres server \(wanted) is installed (looked in \(Self.debianFolder) and asked "
                + "pg_config); install postgresql, or name a database with --database")
    }

    private static var configured: [(version: Int, folder: String)] {
        let program = "/usr/bin/pg_config"
        guard FileSystem.isExecutable(program),
            let folder = try? ChildProcess(user: nil).run(program, ["--bindir"]),
            let version = try? ChildProcess(user: nil).run(program, ["--version"]),
            let number = version.output.split(separator: " ").dropFirst().first?
                .split(separator: ".").first.flatMap({ Int($0) })
        else { return [] }
        return [(number, folder.output.trimmed)]
    }
}

extension String {
    /// Without blanks and line ends at both ends.
    var trimmed: String {
        guard let first = self.firstIndex(where: { !$0.isWhitespace }),
            let last = self.lastIndex(where: { !$0.isWhitespace })
        else { return "" }
        return String(self[first...last])
    }
}

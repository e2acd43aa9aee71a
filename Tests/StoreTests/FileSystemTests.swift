import Glibc
import Testing

@testable import Store

@Suite struct FileSystemTests {
    @Test(arguments: [
        ("/", "/"), ("/a/b", "/a/b"), ("/a//b/", "/a/b"), ("/a/./b/.", "/a/b"), ("/a/../b", "/b"),
        ("/../..", "/"), ("/a/..", "/"), ("//a", "/a"),
    ])
    func pathsAreMadeAbsolute(path: String, expected: String) {
        #expect(FileSystem.absolute(path) == expected)
    }

    @Test func aRelativePathBeginsHere() throws {
        let here = try #require(getcwd(nil, 0))
        defer { free(here) }
        let current = FileSystem.absolute(String(cString: here))
        #expect(FileSystem.absolute("x/../y") == current + "/y")
        #expect(FileSystem.absolute(".") == current)
        #expect(FileSystem.absolute("") == current)
    }

    @Test func theParentOfTheRootIsTheRoot() {
        #expect(FileSystem.parent(of: "/a/b") == "/a")
        #expect(FileSystem.parent(of: "/a") == "/")
        #expect(FileSystem.parent(of: "/") == "/")
    }

    @Test func filesAreMadeReadAndRemovedWithTheirFolder() throws {
        let folder = TestCluster.makeFolder("files")
        let (file, link) = (folder + "/file", folder + "/deep/link")
        try #require(mkdir(folder, 0o700) == 0)
        try #require(mkdir(folder + "/deep", 0o700) == 0)
        #expect(FileSystem.contents(file) == nil)
        let text = String(repeating: "0123456789", count: 5_000)
        #expect(FileSystem.create(file, text, mode: 0o600))
        #expect(!FileSystem.create(file, "", mode: 0o600), "it is there already")
        #expect(errno == EEXIST)
        #expect(FileSystem.contents(file) == Array(text.utf8))
        #expect(FileSystem.exists(file) && !FileSystem.isExecutable(file))
        // What a link points to stays.
        try #require(symlink("/bin/sh", link) == 0)
        #expect(FileSystem.isExecutable(link))
        #expect(FileSystem.names(in: folder).sorted() == ["deep", "file"])
        #expect(FileSystem.names(in: file) == [])
        #expect(FileSystem.removeAll(folder))
        #expect(!FileSystem.exists(folder) && FileSystem.exists("/bin/sh"))
        #expect(!FileSystem.removeAll(folder))
    }
}

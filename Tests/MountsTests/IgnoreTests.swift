import Testing

@testable import Mounts

@Suite(.timeLimit(.minutes(2)))
struct IgnoreTests {
    @Test(
        "Patterns mean what they mean in a .gitignore",
        arguments: [
            ("*.o", "a.o", true), ("*.o", "deep/a.o", true), ("*.o", "a.c", false),
            ("/top", "top", true), ("/top", "deep/top", false),
            ("build/", "build/", true), ("build/", "build", false), ("build/", "deep/build/", true),
            ("a/b", "a/b", true), ("a/b", "x/a/b", false),
            ("a/**/z", "a/z", true), ("a/**/z", "a/b/c/z", true), ("**/z", "a/z", true),
            ("a/**", "a/b/c", true), ("a/**", "a/", false),
            ("?.txt", "a.txt", true), ("?.txt", "ab.txt", false),
            ("[a-c]x", "bx", true), ("[!a-c]x", "bx", false), ("\\#x", "#x", true),
            ("# comment", "# comment", false), ("*.o\n!keep.o", "keep.o", false), ("*.o\n!keep.o", "x.o", true),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ])
    func patterns(text: String, path: String, isIgnored: Bool) throws {
        let rules = IgnoreRules(Array(text.utf8))
        let isFolder = path.hasSuffix("/")
        let path = try #require(TreePath(Array((isFolder ? String(path.dropLast()) : path).utf8)))
        #expect(rules.ignores(path, isFolder: isFolder) == isIgnored)
    }

    @Test("Ignored paths travel in neither direction and are not deleted")
    func neither() async throws {
        let rig = try Rig()
        try rig.origin.write(".lighterignore", "*.log\n/out/\n")
        try rig.origin.write("a.log", "origin's")
        try rig.origin.folder("out")
        try rig.origin.write("out/x", "x")
        try rig.origin.folder("mixed")
        try rig.origin.write("mixed/file", "f")
        try await rig.synchronise()
        #expect(rig.target.names() == [".lighterignore", "mixed"])
        try rig.target.write("a.log", "target's")
        try rig.target.write("mixed/b.log", "stays")
        try await rig.synchronise()
        #expect(rig.origin.text("a.log") == "origin's")
        #expect(rig.target.text("a.log") == "target's")
        #expect(!rig.origin.exists("mixed/b.log"))

        try rig.origin.removeAll("mixed")
        try await rig.synchronise()
        #expect(rig.target.names("mixed") == ["b.log"])
        #expect(!rig.origin.exists("mixed"))
    }

    @Test("Rules that change while the session runs hold from then on")
    func live() async throws {
        let rig = try Rig()
        try rig.origin.write("a.log", "1")
        try await rig.live { live in
            try await live.synchronise()
            #expect(rig.target.text("a.log") == "1")
            try rig.origin.write(".lighterignore", "*.log\n")
            try await live.synchronise()
            try rig.origin.write("a.log", "2")
            try rig.origin.write("b", "b")
            try await live.synchronise()
            #expect(rig.target.text("a.log") == "1")
            #expect(rig.target.text("b") == "b")
            try rig.origin.remove(".lighterignore")
            try rig.target.remove("a.log")
            try await live.synchronise()
            try await live.synchronise()
        }
        rig.expectSame()
        #expect(rig.target.text("a.log") == "2")
    }

    @Test("A rule for folders holds also for one that is gone on the device and is kept for what is ignored in it")
    func keptFolder() async throws {
        let rig = try Rig()
        try rig.origin.write(".lighterignore", "junk\n")
        try rig.origin.folder("build")
        try rig.origin.write("build/made", "made")
        try await rig.live { live in
            try await live.synchronise()
            try rig.target.write("build/junk", "the container's own")
            try rig.origin.removeAll("build")
            try await live.synchronise()
            #expect(rig.target.text("build/junk") == "the container's own")
            try rig.origin.write(".lighterignore", "junk\nbuild/\n")
            try await live.synchronise()
            try rig.origin.write("more", "more")
            try await live.synchronise()
        }
        #expect(rig.target.text("more") == "more")
        #expect(rig.target.text("build/junk") == "the container's own")
    }
}

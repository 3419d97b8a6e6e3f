import LighterTesting
import NIOCore
import Testing

@testable import Images

@Suite("A build's context")
struct BuildContextTests {
    private func scan(_ bytes: [UInt8], dockerfile: String = "Dockerfile", pieces: Int = 700) throws -> BuildContext {
        var context = BuildContext(dockerfile: dockerfile)
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            try context.pass(ByteBuffer(bytes: bytes[start..<min(bytes.count, start + pieces)]))
        }
        return context
    }

    private func tar(_ files: [(String, String)]) -> [UInt8] {
        var tar = TarWriter()
        for (name, text) in files { tar.file(name, Array(text.utf8)) }
        tar.end()
        return tar.bytes
    }

    /// The files of the context with its new end; the last of a name counts.
    private func files(_ bytes: [UInt8], _ context: BuildContext, _ end: ByteBuffer) throws -> [String: String] {
        var input = ByteBuffer(bytes: bytes.prefix(Int(context.length)))
        input.writeImmutableBuffer(end)
        var scanner = TarScanner()
        var files: [String: String] = [:]
        var name = ""
        while let event = try scanner.next(&input) {
            switch event {
            case .entry(let entry, _):
                name = entry.name
                files[name] = ""
            case .content(let bytes): files[name]? += String(buffer: bytes)
            case .entryEnd, .end: break
            }
        }
        #expect(scanner.hasEnded)
        return files
    }

    @Test("is read for its Dockerfile as it passes, wherever that is", arguments: ["Dockerfile", "./sub/Dockerfile"])
    func text(path: String) throws {
        let bytes = tar([("a", "x"), ("./Dockerfile", "FROM a"), ("sub/Dockerfile", "FROM b")])
        let context = try scan(bytes, dockerfile: path == "Dockerfile" ? path : "./sub/Dockerfile")
        #expect(context.text == (path == "Dockerfile" ? "FROM a" : "FROM b"))
        #expect(context.hasEnded && context.length == Int64(bytes.count - 1024))
        #expect(try scan(bytes, dockerfile: "other").text == nil)
    }

    @Test("gets another Dockerfile beside its own, which no image holds")
    func beside() throws {
        let bytes = tar([("Dockerfile", "FROM a"), ("x", "y")])
        let context = try scan(bytes)
        let (path, end) = try context.ending(dockerfile: "FROM b")
        let after = try files(bytes, context, end)
        #expect(after[path] == "FROM b" && path != "Dockerfile")
        #expect(after["Dockerfile"] == "FROM a" && after["x"] == "y")
        #expect(after[".dockerignore"] == ".dockerignore\n\(path)\n")
        let same = try context.ending(dockerfile: "FROM a")
        #expect(same.dockerfile == "Dockerfile" && same.1.readableBytes == 1024)
    }

    @Test(
        "gets it in the place of one that is not for the image anyway",
        arguments: [
            ("Dockerfile", true), ("/Dockerfile\n", true), ("*file", true), ("*\n!Dockerfile", false),
            ("*\n!Dockerfile\nDockerfile", true), ("# Dockerfile\n\nx", false), ("./Dockerfile/", true),
        ])
    func ignored(rules: String, isIgnored: Bool) throws {
        let bytes = tar([(".dockerignore", rules), ("Dockerfile", "FROM a")])
        let context = try scan(bytes)
        let (path, end) = try context.ending(dockerfile: "FROM b")
        let after = try files(bytes, context, end)
        #expect((path == "Dockerfile") == isIgnored)
        #expect(after[path] == "FROM b")
        #expect(after[".dockerignore"] == (isIgnored ? rules : "\(rules)\n\(path)\n"))
    }

    @Test("in a folder that is ignored is ignored with it")
    func folder() throws {
        let bytes = tar([(".dockerignore", "sub"), ("sub/Dockerfile", "FROM a")])
        let context = try scan(bytes, dockerfile: "sub/Dockerfile")
        #expect(try context.ending(dockerfile: "FROM b").dockerfile == "sub/Dockerfile")
    }

    @Test("is refused where it cannot be told")
    func doubt() throws {
        #expect(throws: ImageError.self) { try scan([0x1f, 0x8b] + [UInt8](repeating: 7, count: 600)) }
        var link = TarWriter()
        link.link("Dockerfile", to: "other")
        link.end()
        #expect(throws: ImageError.self) { try scan(link.bytes) }
        let context = try scan(tar([(".dockerignore", "**/x"), ("Dockerfile", "FROM a")]))
        #expect(throws: ImageError.self) { try context.ending(dockerfile: "FROM b") }
        #expect(try !scan(Array(tar([("Dockerfile", "FROM a")]).dropLast(1024))).hasEnded)
    }
}

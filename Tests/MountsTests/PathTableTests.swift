import Fleet
import LighterTesting
import Testing

@testable import Mounts

struct PathTableTests {
    private let scratch: ScratchFolder
    private let store: Store

    init() throws {
        scratch = try ScratchFolder()
        // So little that most of a test's rows are in the file.
        store = try Store(at: scratch.file("store"), cacheSize: .kibibytes(64))
    }

    private static let names: [[UInt8]] = [
        Array("a".utf8), Array("a-b".utf8), Array("a.".utf8), [0xff], [1], Array("b".utf8),
    ]

    private static func path(_ noise: inout Noise) -> TreePath {
        var path = TreePath.root
        for _ in 0..<Int.random(in: 0...4, using: &noise) {
            path = path.appending(names.randomElement(using: &noise) ?? [1]) ?? path
        }
        return path
    }

    private static func isFiled(_ a: TreePath, _ b: TreePath) -> Bool {
        let (one, other) = (a.parent.bytes, b.parent.bytes)
        if one != other { return one.lexicographicallyPrecedes(other) }
        return a.name.lexicographicallyPrecedes(b.name)
    }

    @Test("A table has what was put into it, in its order", arguments: [1, 2, 3])
    func model(seed: UInt64) throws {
        let table = try PathTable<Int64>("things", in: store)
        var model: [TreePath: Int64?] = [:]
        var noise = Noise(seed: seed)
        for turn in 0..<20_000 {
            let path = Self.path(&noise)
            switch Int.random(in: 0..<5, using: &noise) {
            case 0:
                try table.remove(path)
                model[path] = nil
            case 1:
                try table.set(path, to: nil)
                model[path] = .some(nil)
            default:
                try table.set(path, to: Int64(turn))
                model[path] = Int64(turn)
            }
            #expect(try table.value(at: path) == model[path])
            #expect(table.count == model.count)
        }
        let sorted = model.keys.sorted(by: Self.isFiled)
        #expect(sorted.sorted { $0.isFiled(before: $1) } == sorted)
        #expect(model.count > PathTable<Int64>.page, "more than one page")

        var visited: [TreePath] = []
        try table.forEach { path, value in
            visited.append(path)
            #expect(value == model[path] ?? nil)
        }
        #expect(visited == sorted)
        for folder in [TreePath.root] + sorted.prefix(200) {
            var below: [TreePath] = []
            try table.forEach(below: folder) { path, _ in below.append(path) }
            #expect(below == sorted.filter { $0.isBelow(folder) })
            let children = try table.rows(in: folder, limit: .max).map { Array($0.path.name) }
            #expect(children == sorted.filter { !$0.isRoot && $0.parent == folder }.map { Array($0.name) })
        }
        var backward: [TreePath] = []
        while case let page = try table.rows(before: backward.last, limit: 7), !page.isEmpty {
            backward += page.map(\.path)
        }
        #expect(backward == sorted.reversed())
        try table.removeAll()
        #expect(table.isEmpty)
        #expect(try table.rows(after: nil).isEmpty)
    }

    @Test("Rows may be changed and removed while they are gone through")
    func changing() throws {
        let table = try PathTable<Int64>("things", in: store)
        for number in 0..<5000 { try table.set(try #require(TreePath("f/\(number)".utf8)), to: Int64(number)) }
        var sum: Int64 = 0
        try table.forEach(below: .root) { path, value throws(SystemFailure) in
            sum += value ?? 0
            try table.remove(path)
        }
        #expect(sum == 4999 * 5000 / 2)
        #expect(table.isEmpty)
    }

    @Test("The file of a store has no name, so that nothing is left over")
    func nameless() throws {
        let table = try PathTable<Int64>("things", in: store)
        for number in 0..<5000 { try table.set(try #require(TreePath("f/\(number)".utf8)), to: Int64(number)) }
        #expect(!Disk(path: scratch.path).exists("store"))
        #expect(try table.value(at: #require(TreePath("f/4711".utf8))) == 4711)
    }

    @Test("A file of several names is found by each of them")
    func names() throws {
        let book = try NameBook(in: store)
        #expect(try book.first(of: 7) { _ in true } == nil)
        for number in 0..<500 { try book.note(try #require(TreePath("f/\(number)".utf8)), of: 7) }
        try book.note(try #require(TreePath("other".utf8)), of: .max)
        #expect(try book.first(of: 7) { $0.name.elementsEqual("499".utf8) }?.description == "f/499")
        #expect(try book.first(of: 7) { _ in false } == nil)
        #expect(try book.first(of: .max) { _ in true }?.description == "other")
    }
}
